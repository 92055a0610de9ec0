// The kernels of a library, and the entry point that Python calls.

#include <cstdio>

#include "scheduler.hpp"

namespace emulation {

static std::vector<Kernel>& kernels() {
    static std::vector<Kernel> all;
    return all;
}

bool add(const Kernel& kernel) {
    kernels().push_back(kernel);
    return true;
}

// Return why these arguments do not fit the kernel, or an empty string. The letter of a null pointer is n.
static std::string unfit(const Kernel& kernel, const char* letters, const int* sizes) {
    if (std::strlen(kernel.letters) != std::strlen(letters)) {
        return text("takes %zu arguments, got %zu", std::strlen(kernel.letters), std::strlen(letters));
    }
    for (int k = 0; letters[k]; ++k) {
        char wanted = kernel.letters[k], got = letters[k];
        bool pointer = wanted == 'w' || wanted == 'r';
        if (got != wanted && !(pointer && got == 'n') && !(wanted == 'r' && got == 'w')) {
            const char* format = "argument %d is of kind %c, got %c (w, r: pointer to memory that is written, only read; n: null pointer; i, l, f, d: int, long long, float, double)";
            return text(format, k, wanted, got);
        }
        if (pointer && got != 'n' && kernel.sizes[k] != sizes[k]) {
            return text("argument %d points to items of %d bytes, got an array of %d", k, kernel.sizes[k], sizes[k]);
        }
    }
    return "";
}

}  // namespace emulation

using namespace emulation;

// Run a kernel of this library. Returns 0, or 1 and an error message.
extern "C" __attribute__((visibility("default"))) int emulate(
    const char* name, int x, int y, int block, int cluster, std::size_t shared, int at_once,
    unsigned long long seed, void** args, const char* letters, const int* sizes, long long most_switches,
    long long most_polls, char* message, std::size_t message_size) {
    std::string error = "no such kernel";
    for (const Kernel& its : kernels()) {
        if (!same(its.name, name)) continue;
        error = unfit(its, letters, sizes);
        if (error.empty() && (x < 1 || y < 1 || block < 1 || block > 1024 || x % cluster)) {
            error = text("a grid of (%d, %d) blocks of %d threads, clusters of %d", x, y, block, cluster);
        }
        if (error.empty()) {
            kernel = &its, kernel_args = args;
            threads = block;
            grid_x = x;
            grid_y = y;
            cluster_size = cluster;
            shared_bytes = shared;
            switch_limit = most_switches;
            idle_limit = most_polls;
            error = run(at_once / cluster > 1 ? at_once / cluster : 1, seed);
        }
    }
    std::snprintf(message, message_size, "%s", error.c_str());
    return error.empty() ? 0 : 1;
}
