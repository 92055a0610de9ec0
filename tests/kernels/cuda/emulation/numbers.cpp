// Conversions between the number types of a GPU, and its tensor cores.

#include <cmath>
#include <cstdint>
#include <cstring>

#include "scheduler.hpp"

static float float_of(std::uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

static std::uint32_t bits_of(float x) {
    std::uint32_t bits;
    std::memcpy(&bits, &x, sizeof x);
    return bits;
}

// Half precision: 5 bits of exponent, 10 of mantissa. Subnormal numbers are multiples of 2^-24.
float half_to_float(unsigned short bits) {
    std::uint32_t sign = (bits & 0x8000u) << 16, rest = bits & 0x7fffu;
    if (rest >= 0x7c00) return float_of(sign | 0x7f800000u | (rest & 0x3ff) << 13);
    if (rest < 0x400) return std::copysign(rest * 0x1p-24f, float_of(sign));
    return float_of(sign | ((rest << 13) + ((127 - 15) << 23)));
}

unsigned short float_to_half(float x) {
    unsigned sign = bits_of(x) >> 16 & 0x8000u;
    float size = std::fabs(x);
    if (size != size) return 0x7fff;             // the NaN of a GPU
    if (size >= 65520.0f) return sign | 0x7c00;  // at least half-way between the largest half and 2^16
    if (size < 0x1p-14f) return sign | static_cast<unsigned>(std::nearbyint(size * 0x1p24f));
    std::uint32_t bits = bits_of(size) - ((127 - 15) << 23);
    return sign | (bits + 0xfff + (bits >> 13 & 1)) >> 13;
}

unsigned to_tf32(float x) {
    if (x != x) return 0x7fffe000;
    if (std::isinf(x)) return bits_of(x);
    return (bits_of(x) + 0x1000) & ~0x1fffu;
}

struct Operands {
    float* sum;
    const unsigned* a;
    const unsigned* b;
};

// A tensor core adds exact products and truncates the sum towards zero. Here it does so once per instruction.
static float truncated(double sum) {
    float x = static_cast<float>(sum);
    if (std::isfinite(x) && std::fabs(static_cast<double>(x)) > std::fabs(sum)) return float_of(bits_of(x) - 1);
    return x;
}

// sum (16, 8) += A (16, K) B (K, 8). The lane, the register and the position in the register determine the index of an
// entry (PTX ISA, "matrix fragments for mma.m16n8k8" and "... mma.m16n8k16"). number(bits, i) is the i-th number of a
// register.
template <int K, int PER_WORD, class Number>
static void multiply(const void* const given[], Number number) {
    using emulation::warp_size;
    double A[16][K], B[8][K];
    for (int lane = 0; lane < warp_size; ++lane) {
        auto its = static_cast<const Operands*>(given[lane]);
        int g = lane / 4, t = lane % 4 * PER_WORD;
        for (int i = 0; i < PER_WORD; ++i) {
            for (int r = 0; r < 4; ++r) A[g + r % 2 * 8][t + r / 2 * (K / 2) + i] = number(its->a[r], i);
            for (int r = 0; r < 2; ++r) B[g][t + r * (K / 2) + i] = number(its->b[r], i);
        }
    }
    for (int lane = 0; lane < warp_size; ++lane) {
        float* sum = static_cast<const Operands*>(given[lane])->sum;
        for (int r = 0; r < 4; ++r) {
            const double *row = A[lane / 4 + r / 2 * 8], *column = B[lane % 4 * 2 + r % 2];
            double exact = sum[r];
            for (int k = 0; k < K; ++k) exact += row[k] * column[k];
            sum[r] = truncated(exact);
        }
    }
}

void mma_tf32(float sum[4], const unsigned a[4], const unsigned b[2], emulation::Place place) {
    Operands operands = {sum, a, b};
    emulation::collective("mma_tf32", place, &operands, [](const void* const given[]) {
        multiply<8, 1>(given, [](unsigned bits, int) { return float_of(bits & ~0x1fffu); });
    });
}

template <>
void mma_16<half>(float sum[4], const unsigned a[4], const unsigned b[2], emulation::Place place) {
    Operands operands = {sum, a, b};
    emulation::collective("mma_16", place, &operands, [](const void* const given[]) {
        multiply<16, 2>(given, [](unsigned word, int i) { return half_to_float(word >> 16 * i); });
    });
}

template <>
void mma_16<bf16>(float sum[4], const unsigned a[4], const unsigned b[2], emulation::Place place) {
    Operands operands = {sum, a, b};
    emulation::collective("mma_16", place, &operands, [](const void* const given[]) {
        multiply<16, 2>(given, [](unsigned word, int i) { return float_of(word >> 16 * i << 16); });
    });
}
