// The functions of device.cuh for a plain C++ compiler: each thread of a launch is a fiber on the CPU (scheduler.cpp).
//
// This file is included before the source of the kernels. It includes no header of the C++ library, because it is compiled
// once per configuration. All fibers run in one CPU thread, so a write is visible to all others at once. A missing fence
// is therefore not found here; a missing barrier is found, because the next fiber is drawn at random.
#pragma once

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

namespace emulation {

// A line of the kernels' source; as a default argument, the line of the caller.
struct Place {
    const char* file;
    int line;
    static constexpr Place here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
        return {file, line};
    }
};

struct Block;

// A thread of a block.
struct Thread {
    int index, block_x, block_y, cluster_rank;
    char* shared;  // the shared memory of its block
    Block* block;
};

extern Thread* current;
extern int threads, grid_x, grid_y;  // threads per block; blocks

char* peer(char* here, unsigned long size, int rank, Place place);
void poll_sometimes(const char* function, Place place);

}  // namespace emulation

// ---- indices -------------------------------------------------------------------------------------------------------

inline int thread_index() { return emulation::current->index; }
inline int block_size() { return emulation::threads; }
inline int block_x() { return emulation::current->block_x; }
inline int block_y() { return emulation::current->block_y; }
inline int blocks_x() { return emulation::grid_x; }
inline int blocks_y() { return emulation::grid_y; }
inline int cluster_rank() { return emulation::current->cluster_rank; }

inline char* dynamic_shared() { return emulation::current->shared; }

// ---- barriers ------------------------------------------------------------------------------------------------------

void sync_block(emulation::Place place = emulation::Place::here());
bool sync_block_or(bool mine, emulation::Place place = emulation::Place::here());  // whether any thread passed true
void sync_warp(emulation::Place place = emulation::Place::here());
void cluster_arrive(emulation::Place place = emulation::Place::here());
void cluster_wait(emulation::Place place = emulation::Place::here());

// The corresponding address in the shared memory of another block of the cluster.
template <class T>
T* peer(T* here, int rank, emulation::Place place = emulation::Place::here()) {
    return (T*)emulation::peer((char*)here, sizeof(T), rank, place);
}

// ---- memory that other blocks write --------------------------------------------------------------------------------

void store_release(int* p, int v);
void store_system(int* p, int v);
int load_acquire(const int* p, emulation::Place place = emulation::Place::here());
template <class T>
T fresh(const T* p, emulation::Place place = emulation::Place::here()) {
    emulation::poll_sometimes("fresh", place);
    return *p;
}
void nap(emulation::Place place = emulation::Place::here());
void jitter();  // sometimes lets another thread run first

// ---- arithmetic ----------------------------------------------------------------------------------------------------

inline float exp_(float x) { return __builtin_expf(x); }
inline double exp_(double x) { return __builtin_exp(x); }
inline float tanh_(float x) { return __builtin_tanhf(x); }
inline double tanh_(double x) { return __builtin_tanh(x); }
inline float fma_(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fma_(double a, double b, double c) { return __builtin_fma(a, b, c); }

float half_to_float(unsigned short bits);
unsigned short float_to_half(float x);  // rounded to nearest, ties to even
unsigned to_tf32(float x);              // rounded to 10 bits of mantissa, ties away from zero

// ---- tensor cores: fragments as in device.cuh ----------------------------------------------------------------------

struct half;
struct bf16;

void mma_tf32(
    float sum[4], const unsigned a[4], const unsigned b[2], emulation::Place place = emulation::Place::here());

template <class S>
void mma_16(float sum[4], const unsigned a[4], const unsigned b[2], emulation::Place place = emulation::Place::here());
template <>
void mma_16<half>(float sum[4], const unsigned a[4], const unsigned b[2], emulation::Place place);
template <>
void mma_16<bf16>(float sum[4], const unsigned a[4], const unsigned b[2], emulation::Place place);

// ---- kernels -------------------------------------------------------------------------------------------------------

#define EMULATED_KERNEL(name) static const bool emulated_##name = emulation::add(#name, &name);

namespace emulation {

// The kind of a kernel's parameter: w or r is a pointer to memory that the kernel may write or only read; i, l, f, d are
// numbers. size: of the item that a pointer points to.
template <class T>
struct Kind {
    static_assert(sizeof(T) == 0, "kernels take int, long long, float, double and pointers");
};
template <>
struct Kind<int> {
    enum { letter = 'i', size = 0 };
};
template <>
struct Kind<long long> {
    enum { letter = 'l', size = 0 };
};
template <>
struct Kind<float> {
    enum { letter = 'f', size = 0 };
};
template <>
struct Kind<double> {
    enum { letter = 'd', size = 0 };
};
template <class T>
struct Kind<T*> {
    enum { letter = 'w', size = sizeof(T) };
};
template <class T>
struct Kind<const T*> {
    enum { letter = 'r', size = sizeof(T) };
};

struct Kernel {
    const char* name;
    void (*function)();
    void (*call)(void (*function)(), void** args);
    const char* letters;
    const int* sizes;
};

bool add(const Kernel& kernel);

struct Call {
    template <class F, class... A>
    Call(F function, A... arguments) {
        function(arguments...);
    }
};

template <class T>
T next_argument(void**& args) {
    return *(T*)*args++;
}

template <class... A>
bool add(const char* name, void (*function)(A...)) {
    static const char letters[] = {Kind<A>::letter..., 0};
    static const int sizes[] = {Kind<A>::size..., 0};
    auto call = [](void (*function)(), void** args) {
        Call{(void (*)(A...))function, next_argument<A>(args)...};  // braces evaluate from left to right
    };
    return add({name, (void (*)())function, call, letters, sizes});
}

}  // namespace emulation
