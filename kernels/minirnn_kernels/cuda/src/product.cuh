// The part of a product that a warp computes: a tile sum (16, N) += state (16, k) W (N, k)^T, for a range of k.
//
// A tile has 16 rows of the batch and N columns, a multiple of 8. Both factors are in shared memory, with k along
// their rows. The distance between rows, their pitch, is 16 bytes more than a multiple of 128, so that the rows that the lanes
// of a warp read at once begin in different banks.
//
//     PRODUCT      factors                                sums    computed by
//     FMA          float, double                          same    one multiply-add per lane
//     TF32         float, rounded to 11 bits              float   tensor cores
//     TF32X3       float, as a sum of two of 11 bits      float   tensor cores, three times
//     MMA16        half, bf16                             float   tensor cores

#define FMA 0
#define TF32 1
#define TF32X3 2
#define MMA16 3

enum { TILE_ROWS = 16, WARP = 32 };

// Convert a number that was read from an array to the form in which shared memory holds it.
DEVICE unsigned staged_bits(unsigned bits) { return PRODUCT == TF32 ? to_tf32(from_bits(bits)) : bits; }
DEVICE double staged(double x) { return x; }
DEVICE float staged(float x) { return from_bits(staged_bits(to_bits(x))); }
DEVICE half staged(half x) { return x; }
DEVICE bf16 staged(bf16 x) { return x; }
DEVICE Quad staged(Quad q) {
    if (PRODUCT == TF32) {
        q.x = staged_bits(q.x), q.y = staged_bits(q.y), q.z = staged_bits(q.z), q.w = staged_bits(q.w);
    }
    return q;
}

#if PRODUCT == FMA

// Each lane has 2 x N/4 entries, in rows lane % 8 + 8i and columns lane / 8 + 4j. It loads 16 bytes of each of its rows
// and columns at a time, and multiplies all rows with all columns.
template <int N>
struct Tile {
    enum { VECTOR = 16 / sizeof(Storage) };
    Accumulate sum[2][N / 4];

    struct __attribute__((aligned(16))) Vector {
        Storage x[VECTOR];
    };

    DEVICE void clear(Tile& tile) {
        UNROLL
        for (int i = 0; i < 2; ++i) {
            UNROLL
            for (int j = 0; j < N / 4; ++j) tile.sum[i][j] = 0;
        }
    }

    DEVICE void add(Tile& tile, const Storage* state, int state_pitch, const Storage* W, int W_pitch, int columns) {
        int lane = thread_index() % WARP;
        const Storage* rows = state + lane % 8 * state_pitch;
        const Storage* units = W + lane / 8 * W_pitch;
        for (int k = 0; k < columns; k += VECTOR) {
            Vector row[2];
            UNROLL
            for (int i = 0; i < 2; ++i) row[i] = *(const Vector*)(rows + 8 * i * state_pitch + k);
            UNROLL
            for (int j = 0; j < N / 4; ++j) {
                Vector unit = *(const Vector*)(units + 4 * j * W_pitch + k);
                UNROLL
                for (int v = 0; v < VECTOR; ++v) {
                    UNROLL
                    for (int i = 0; i < 2; ++i) tile.sum[i][j] = fma_(row[i].x[v], unit.x[v], tile.sum[i][j]);
                }
            }
        }
    }

    // Call f(row, column, sum) for each of this lane's entries.
    template <class F>
    DEVICE void each(const Tile& tile, F f) {
        int lane = thread_index() % WARP;
        UNROLL
        for (int i = 0; i < 2; ++i) {
            UNROLL
            for (int j = 0; j < N / 4; ++j) f(lane % 8 + 8 * i, lane / 8 + 4 * j, tile.sum[i][j]);
        }
    }
};

#else

// N/8 tiles of (16, 8), each with the fragments of `mma_tf32` and `mma_16`.
template <int N>
struct Tile {
    enum { PER_WORD = 4 / sizeof(Storage), STEP = 8 * PER_WORD };  // columns of k per instruction
    Accumulate sum[N / 8][4];

    DEVICE void clear(Tile& tile) {
        UNROLL
        for (int n = 0; n < N / 8; ++n) {
            UNROLL
            for (int i = 0; i < 4; ++i) tile.sum[n][i] = 0;
        }
    }

    DEVICE unsigned word(const Storage* p) { return ((const Word*)p)->bits; }

    DEVICE void add(Tile& tile, const Storage* state, int state_pitch, const Storage* W, int W_pitch, int columns) {
        int lane = thread_index() % WARP, g = lane / 4, t = lane % 4 * PER_WORD;
        const Storage* row = state + g * state_pitch + t;
        const Storage* unit = W + g * W_pitch + t;
        for (int k = 0; k < columns; k += STEP) {
            unsigned a[4] = {
                word(row + k), word(row + 8 * state_pitch + k), word(row + k + STEP / 2),
                word(row + 8 * state_pitch + k + STEP / 2)};
            UNROLL
            for (int n = 0; n < N / 8; ++n) {
                const Storage* its = unit + 8 * n * W_pitch + k;
                unsigned b[2] = {word(its), word(its + STEP / 2)};
                multiply(tile.sum[n], a, b);
            }
        }
    }

#if PRODUCT == MMA16
    DEVICE void multiply(float sum[4], const unsigned a[4], const unsigned b[2]) { mma_16<Storage>(sum, a, b); }
#elif PRODUCT == TF32
    DEVICE void multiply(float sum[4], const unsigned a[4], const unsigned b[2]) { mma_tf32(sum, a, b); }
#else
    // x = large + small, each of 11 bits. The product of the two small parts is below the rounding of the other three
    // (Ootomo and Yokota 2022, "Recovering single precision accuracy from Tensor Cores").
    DEVICE void multiply(float sum[4], const unsigned a[4], const unsigned b[2]) {
        unsigned a_large[4], a_small[4], b_large[2], b_small[2];
        UNROLL
        for (int i = 0; i < 4; ++i) parts(a[i], a_large[i], a_small[i]);
        UNROLL
        for (int i = 0; i < 2; ++i) parts(b[i], b_large[i], b_small[i]);
        mma_tf32(sum, a_small, b_large);
        mma_tf32(sum, a_large, b_small);
        mma_tf32(sum, a_large, b_large);
    }

    DEVICE void parts(unsigned bits, unsigned& large, unsigned& small) {
        float x = from_bits(bits);
        large = to_tf32(x);
        small = to_tf32(x - from_bits(large));  // NaN if x is infinite: sums with an infinity are NaN
    }
#endif

    template <class F>
    DEVICE void each(const Tile& tile, F f) {
        int lane = thread_index() % WARP, g = lane / 4, t = lane % 4;
        UNROLL
        for (int n = 0; n < N / 8; ++n) {
            UNROLL
            for (int i = 0; i < 4; ++i) f(g + i / 2 * 8, 8 * n + 2 * t + i % 2, tile.sum[n][i]);
        }
    }
};

#endif
