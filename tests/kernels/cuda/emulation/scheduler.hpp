// The state of a running launch, and the functions that the .cpp files share.
#pragma once

#include <cstddef>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "fibers.hpp"
#include "shim.hpp"

namespace emulation {

constexpr int warp_size = 32;

struct Cluster;

struct Fiber : Thread {
    Context context;
    char* stack;         // null before the thread begins and after it ends
    bool ended, arrived_at_cluster;
    long cluster_phase;  // the phase in which the thread arrived
    const char* waits;   // the function in which the thread waits, or null
    Place place;         // the line of the kernel that called this function
};

struct Warp {
    int arrived = 0, ended = 0, lanes = 0;
    const void* operands[warp_size];
};

struct Block {
    int x, y, arrived, ended;
    bool begun;
    bool any_so_far = false, any_at_last = false;  // the results of sync_block_or: of this call, and of the last one
    Cluster* cluster;
    std::unique_ptr<char[]> memory;
    char* shared;  // a part of `memory`
    std::vector<Fiber> fibers;
    std::vector<Warp> warps;
};

struct Cluster {
    std::vector<Block> blocks;
    int arrived, ended;  // threads
    long phase;          // the number of completed cluster barriers
};

extern const Kernel* kernel;
extern void** kernel_args;
extern int cluster_size;
extern std::size_t shared_bytes;
extern std::deque<Cluster> clusters;       // the resident clusters
extern long long idle;                     // polls since a thread did any other work
extern long long switch_limit, idle_limit; // the maximum numbers of switches and of consecutive polls

inline Fiber& self() { return *static_cast<Fiber*>(current); }

inline bool same(const char* a, const char* b) { return a == b || (a && b && !std::strcmp(a, b)); }

unsigned random_below(unsigned n);

// Messages.
__attribute__((format(printf, 1, 2))) std::string text(const char* format, ...);
std::string name_of(const Place& place);
std::string name_of(const Fiber& fiber);
std::string who_is_where();  // the positions of the threads of some blocks

// End the launch with a message.
[[noreturn]] void fail(const std::string& message);

// Run another fiber. The caller has put the current one into `ready` or `polling`, or marked it as waiting.
void switch_away();

// Let a fiber run again.
void make_ready(Fiber* fiber);

// Record where the current fiber waits: in a function of shim.hpp, called at a place in the kernel.
void mark_waiting(const char* function, Place place);

// Wait until another thread releases the current one.
void wait(const char* function, Place place);

// Let others run; then the current thread checks again whether it can continue.
void poll(const char* function, Place place);

// Wait until all lanes of a warp have called the same function; the last one computes the result for all lanes, from
// their operands. `function` is its name.
void collective(const char* function, Place place, const void* operands, void (*compute)(const void* const operands[]));

// Run the launch, with this many clusters at once. Returns an empty string, or an error message.
std::string run(int at_once, unsigned long long seed);

}  // namespace emulation
