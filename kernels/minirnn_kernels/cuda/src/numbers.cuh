// Two types of numbers: Storage, in which arrays are stored, and Accumulate, in which sums and gates are computed.
//
//     Storage             double    float    half    bf16
//     Accumulate          double    float    float   float

struct half {
    unsigned short bits;
};
struct bf16 {
    unsigned short bits;  // the upper half of a float
};

template <class T>
struct Sum {
    typedef float type;
};
template <>
struct Sum<double> {
    typedef double type;
};

typedef STORAGE Storage;
typedef Sum<Storage>::type Accumulate;

DEVICE float from_bits(unsigned bits) {
    union {
        unsigned bits;
        float x;
    } both;
    both.bits = bits;
    return both.x;
}
DEVICE unsigned to_bits(float x) {
    union {
        unsigned bits;
        float x;
    } both;
    both.x = x;
    return both.bits;
}

DEVICE double widen(double x) { return x; }
DEVICE float widen(float x) { return x; }
DEVICE float widen(half x) { return half_to_float(x.bits); }
DEVICE float widen(bf16 x) { return from_bits((unsigned)x.bits << 16); }

// Round to nearest, ties to even; NaN stays NaN. `to` only selects the type.
DEVICE double narrow(double x, double /*to*/) { return x; }
DEVICE float narrow(float x, float /*to*/) { return x; }
DEVICE half narrow(float x, half /*to*/) {
    half y = {float_to_half(x)};
    return y;
}
DEVICE bf16 narrow(float x, bf16 /*to*/) {
    unsigned bits = to_bits(x);
    bf16 y = {(unsigned short)(x != x ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
    return y;
}
DEVICE Storage stored(Accumulate x) { return narrow(x, Storage()); }

// Load a number, or a vector of them, from an array that other blocks write.
DEVICE Quad load_fresh(const Quad* p) { return fresh(p); }
DEVICE double load_fresh(const double* p) { return fresh(p); }
DEVICE float load_fresh(const float* p) { return fresh(p); }
DEVICE half load_fresh(const half* p) {
    half y = {fresh(&p->bits)};
    return y;
}
DEVICE bf16 load_fresh(const bf16* p) {
    bf16 y = {fresh(&p->bits)};
    return y;
}
