// The functions in which a GPU differs from a CPU: indices, barriers, stores that other blocks see, tensor cores.
//
// No CUDA header is included. NVRTC and nvcc compile these functions to PTX. For a plain C++ compiler they are defined
// by tests/kernels/cuda/emulation/shim.hpp, which runs the threads in turn on the CPU.

#ifdef __CUDACC__

#define KERNEL extern "C" __global__
#define DEVICE static __device__ __forceinline__
#define THREADS_AT_MOST(n) __launch_bounds__(n, 1)
#define CLUSTER_OF(n) __attribute__((cluster_dims(n, 1, 1)))
#define UNROLL _Pragma("unroll")

// ---- indices -------------------------------------------------------------------------------------------------------

DEVICE int thread_index() { return threadIdx.x; }
DEVICE int block_size() { return blockDim.x; }
DEVICE int block_x() { return blockIdx.x; }
DEVICE int block_y() { return blockIdx.y; }
DEVICE int blocks_x() { return gridDim.x; }
DEVICE int blocks_y() { return gridDim.y; }

// ---- barriers ------------------------------------------------------------------------------------------------------

DEVICE void sync_block() { __syncthreads(); }
DEVICE bool sync_block_or(bool mine) { return __syncthreads_or(mine); }  // whether any thread of the block passed true

// Blocks of a cluster run on neighbouring multiprocessors and can access each other's shared memory. All threads of the
// cluster can read, after cluster_wait, what any of them wrote before cluster_arrive.
#if __CUDA_ARCH__ >= 900
DEVICE void cluster_arrive() { asm volatile("barrier.cluster.arrive.release;" ::: "memory"); }
DEVICE void cluster_wait() { asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }

// The corresponding address in the shared memory of another block of the cluster.
template <class T>
DEVICE T* peer(T* here, int rank) {
    unsigned long long there;
    asm("mapa.u64 %0, %1, %2;" : "=l"(there) : "l"((unsigned long long)here), "r"(rank));
    return (T*)there;
}
#endif

// ---- memory that other blocks write --------------------------------------------------------------------------------

// A thread that reads v with load_acquire sees all earlier writes of this thread and of the threads that it has
// synchronised with at a barrier.
DEVICE void store_release(int* p, int v) { asm volatile("st.release.gpu.global.s32 [%0], %1;" ::"l"(p), "r"(v) : "memory"); }
DEVICE int load_acquire(const int* p) {
    int v;
    asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
    return v;
}
// Store to host memory.
DEVICE void store_system(int* p, int v) { asm volatile("st.relaxed.sys.global.s32 [%0], %1;" ::"l"(p), "r"(v) : "memory"); }

struct __align__(16) Quad {
    unsigned x, y, z, w;
};
struct __align__(4) Word {
    unsigned bits;
};

// Load without the L1 cache, which can hold a value that another multiprocessor has since overwritten.
DEVICE unsigned short fresh(const unsigned short* p) {
    unsigned short v;
    asm volatile("ld.global.cg.u16 %0, [%1];" : "=h"(v) : "l"(p));
    return v;
}
DEVICE float fresh(const float* p) {
    float v;
    asm volatile("ld.global.cg.f32 %0, [%1];" : "=f"(v) : "l"(p));
    return v;
}
DEVICE double fresh(const double* p) {
    double v;
    asm volatile("ld.global.cg.f64 %0, [%1];" : "=d"(v) : "l"(p));
    return v;
}
DEVICE Quad fresh(const Quad* p) {
    Quad v;
    asm volatile("ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
    return v;
}

// Prefetch memory that will be read soon.
DEVICE void prefetch(const void* p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }

DEVICE void nap() { asm volatile("nanosleep.u32 20;"); }

// In builds for the stress test, wait for a random time wherever blocks or warps can be early or late.
#ifdef JITTER
DEVICE void jitter() {
    unsigned clock;
    asm volatile("mov.u32 %0, %%clock;" : "=r"(clock));
    clock = (clock + blockIdx.x * 977 + threadIdx.x / 32) * 2654435761u;
    if (clock >> 30 == 0) asm volatile("nanosleep.u32 %0;" ::"r"(clock >> 20 & 1023));
}
#else
DEVICE void jitter() {}
#endif

// ---- arithmetic ----------------------------------------------------------------------------------------------------

DEVICE float exp_(float x) { return expf(x); }
DEVICE double exp_(double x) { return exp(x); }
DEVICE float tanh_(float x) { return tanhf(x); }
DEVICE double tanh_(double x) { return tanh(x); }
DEVICE float fma_(float a, float b, float c) { return fmaf(a, b, c); }
DEVICE double fma_(double a, double b, double c) { return fma(a, b, c); }

DEVICE float half_to_float(unsigned short bits) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
}
DEVICE unsigned short float_to_half(float x) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}

// Round x to the 10 bits of mantissa that a tensor core reads of a float.
DEVICE unsigned to_tf32(float x) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}

// The 32 lanes of a warp together add A (16, 8) B (8, 8) to a tile of (16, 8), of which each lane holds four numbers.
// With g = lane / 4 and t = lane % 4, a lane holds (PTX ISA, "matrix fragments for mma.m16n8k8"):
//
//     a[0], a[1], a[2], a[3] = A[g, t], A[g + 8, t], A[g, t + 4], A[g + 8, t + 4]
//     b[0], b[1]             = B[t, g], B[t + 4, g]
//     sum[0], ..., sum[3]    : (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
DEVICE void mma_tf32(float sum[4], const unsigned a[4], const unsigned b[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// The same with A (16, 16) and B (16, 8) of 16-bit numbers, two in each word: t above stands for columns 2t and 2t + 1
// of A (rows of B), and t + 4 for columns 2t + 8 and 2t + 9.
struct half;
struct bf16;
template <class T>
DEVICE void mma_16(float sum[4], const unsigned a[4], const unsigned b[2]);
template <>
__device__ __forceinline__ void mma_16<half>(float sum[4], const unsigned a[4], const unsigned b[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
template <>
__device__ __forceinline__ void mma_16<bf16>(float sum[4], const unsigned a[4], const unsigned b[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// The dynamic shared memory of the block.
DEVICE char* dynamic_shared() {
    extern __shared__ __align__(16) char memory[];
    return memory;
}

#else  // a plain C++ compiler: the rest is in shim.hpp

#define KERNEL extern "C"
#define DEVICE static inline
#define THREADS_AT_MOST(n)
#define CLUSTER_OF(n)
#define UNROLL

struct __attribute__((aligned(16), may_alias)) Quad {
    unsigned x, y, z, w;
};
struct __attribute__((aligned(4), may_alias)) Word {
    unsigned bits;
};

DEVICE void prefetch(const void*) {}

#endif
