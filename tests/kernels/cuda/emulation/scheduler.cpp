// Runs the threads of a launch in turn: each is a fiber, and wherever a thread waits, the next one is drawn at random.
//
// A thread runs until it waits for others, polls memory that others write, or ends. The launch ends with a message that
// says which threads wait where, in three cases: threads of a block wait at a barrier while others have ended or wait
// elsewhere; no thread can continue; or threads do nothing but poll.

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "scheduler.hpp"

namespace emulation {

constexpr std::size_t STACK = 1 << 16;       // bytes of a fiber's stack
constexpr std::size_t STACK_END = 1 << 10;   // the last bytes of a stack: a fiber that writes to them has used it up
constexpr std::size_t GUARD = 1 << 12;       // bytes on each side of a block's shared memory
constexpr std::uint16_t GUARD_BITS = 0x7ffb; // a quiet NaN in half, bf16, float and double, like all bits one

// ---- the launch ----------------------------------------------------------------------------------------------------

Thread* current;  // a Fiber; null outside of all fibers
int threads, grid_x, grid_y;  // threads per block; blocks

const Kernel* kernel;
void** kernel_args;
int cluster_size;
std::size_t shared_bytes;
std::deque<Cluster> clusters;
long long idle, switch_limit, idle_limit;

static Context outside;
static std::vector<Fiber*> ready, polling;  // fibers that can continue, and fibers that poll
static Cluster* ended_cluster;
static std::string failure;
static unsigned long long random_state;
static long long steps;   // switches so far
static int contestants;   // candidates drawn at each switch; the one with the highest priority runs
static bool by_block;     // whether priorities belong to blocks, or to warps

static void fiber_main();

static unsigned long long mixed(unsigned long long x) {  // splitmix64
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

unsigned random_below(unsigned n) {
    random_state = random_state * 6364136223846793005 + 1442695040888963407;
    return static_cast<unsigned>((random_state >> 32) * n >> 32);
}

// ---- messages ------------------------------------------------------------------------------------------------------

std::string text(const char* format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    return line;
}

std::string name_of(const Place& place) {
    const char* slash = std::strrchr(place.file, '/');
    return text("%s:%d", slash ? slash + 1 : place.file, place.line);
}

std::string name_of(const Fiber& fiber) {
    return text("thread %d of block (%d, %d)", fiber.index, fiber.block_x, fiber.block_y);
}

std::string who_is_where() {
    std::string all;
    int told = 0;
    for (const Cluster& cluster : clusters) {
        for (const Block& block : cluster.blocks) {
            if (block.ended == threads || ++told > 4) continue;
            std::vector<std::string> places;
            std::vector<int> counts, firsts;
            for (const Fiber& fiber : block.fibers) {
                std::string place = fiber.ended ? "at the end" : "on the way";
                if (fiber.waits) place = std::string("at ") + fiber.waits + " in " + name_of(fiber.place);
                std::size_t k = 0;
                while (k < places.size() && places[k] != place) ++k;
                if (k == places.size()) places.push_back(place), counts.push_back(0), firsts.push_back(fiber.index);
                ++counts[k];
            }
            all += text("\n  block (%d, %d):", block.x, block.y);
            for (std::size_t k = 0; k < places.size() && k < 8; ++k) {
                all += text("%s %d (first: thread %d) %s", k ? "," : "", counts[k], firsts[k], places[k].c_str());
            }
        }
    }
    return all;
}

void fail(const std::string& message) {
    failure = message;
    hand_over(self().context, outside);
    std::abort();
}

// ---- the next fiber ------------------------------------------------------------------------------------------------

static Fiber* take(std::vector<Fiber*>& from, std::size_t k) {
    Fiber* fiber = from[k];
    from[k] = from.back();
    from.pop_back();
    return fiber;
}

// Priorities last for several thousand switches, so that a block or a warp can get far ahead of others.
static unsigned long long priority(const Fiber* fiber) {
    unsigned long long block = fiber->block_y * 65536ull + fiber->block_x;
    unsigned long long warp = by_block ? 0 : fiber->index / warp_size;
    return mixed((steps >> 12 << 40) + (block << 8) + warp);
}

// The next fiber, or null after a failure.
static Fiber* next() {
    if (++steps > switch_limit) {
        failure = text("no end after %lld switches:", switch_limit) + who_is_where();
        return nullptr;
    }
    if (!polling.empty() && (ready.empty() || random_below(8) == 0)) {
        if (ready.empty() && ++idle > idle_limit) {
            failure = text("an endless wait, no thread did more than poll %lld times:", idle_limit) + who_is_where();
            return nullptr;
        }
        return take(polling, random_below(polling.size()));
    }
    if (ready.empty()) {
        failure = "a deadlock, no thread can continue:" + who_is_where();
        return nullptr;
    }
    std::size_t best = random_below(ready.size());
    for (int k = 1; k < contestants; ++k) {
        std::size_t other = random_below(ready.size());
        if (priority(ready[other]) > priority(ready[best])) best = other;
    }
    return take(ready, best);
}

// ---- stacks --------------------------------------------------------------------------------------------------------

// A thread has a stack while it runs: threads that do not wait for others share two stacks.
static std::vector<char*> all_stacks, free_stacks;
static char* left_stack;  // the stack of the thread that ended last, in use while the next one is chosen

static void fill(char* from, std::size_t size) {
    for (std::size_t k = 0; k < size; k += sizeof GUARD_BITS) std::memcpy(from + k, &GUARD_BITS, sizeof GUARD_BITS);
}

static void take_stack(Fiber& fiber) {
    if (free_stacks.empty()) {
        auto made = static_cast<char*>(std::malloc(STACK));
        if (!made) throw std::bad_alloc();
        fill(made, STACK_END);
        free_stacks.push_back(made);
        all_stacks.push_back(made);
    }
    fiber.stack = free_stacks.back();
    free_stacks.pop_back();
    auto number = reinterpret_cast<std::uintptr_t>(fiber.stack) / STACK;
    std::size_t offset = number * 5 % 32 * 128;  // spreads the stacks over the sets of the CPU's caches
    prepare(fiber.context, fiber.stack, STACK - offset, fiber_main);
}

static void leave_stack(Fiber& fiber) {
    if (left_stack) free_stacks.push_back(left_stack);
    left_stack = fiber.stack;
    fiber.stack = nullptr;
}

static void resume(Fiber* fiber, Context& from) {
    if (!fiber->stack) take_stack(*fiber);
    current = fiber;
    hand_over(from, fiber->context);
}

void switch_away() {
    Fiber *me = &self(), *other = next();
    if (!other) hand_over(me->context, outside);
    if (other != me) resume(other, me->context);
}

void make_ready(Fiber* fiber) {
    fiber->waits = nullptr;
    ready.push_back(fiber);
}

void mark_waiting(const char* function, Place place) {
    self().waits = function;
    self().place = place;
}

void wait(const char* function, Place place) {
    mark_waiting(function, place);
    switch_away();
}

void poll(const char* function, Place place) {
    polling.push_back(&self());
    wait(function, place);
    self().waits = nullptr;
}

// ---- blocks --------------------------------------------------------------------------------------------------------

// Return the first byte that differs from the pattern of `fill`, or `size`.
static std::size_t changed(const char* from, std::size_t size) {
    static const std::vector<char> pattern = [] {
        std::vector<char> bytes(STACK_END > GUARD ? STACK_END : GUARD);
        fill(bytes.data(), bytes.size());
        return bytes;
    }();
    if (!std::memcmp(from, pattern.data(), size)) return size;
    std::size_t k = 0;
    while (from[k] == pattern[k]) ++k;
    return k;
}

static void check_guards(const Block& block) {
    for (const char* guard : {block.shared - GUARD, block.shared + shared_bytes}) {
        std::size_t byte = changed(guard, GUARD);
        if (byte < GUARD) {
            fail(text("block (%d, %d) has %zu bytes of shared memory; a write at byte %td", block.x, block.y,
                      shared_bytes, guard + byte - block.shared));
        }
    }
}

// The main function of a fiber. A block's shared memory becomes NaN when its first thread begins and after its last one
// has ended, so that writes by other blocks that come too early or too late are lost.
static void fiber_main() {
    Fiber& me = self();
    Block& block = *me.block;
    Warp& warp = block.warps[me.index / warp_size];
    if (!block.begun) std::memset(block.shared, 0xff, shared_bytes);
    block.begun = true;

    kernel->call(kernel->function, kernel_args);

    idle = 0;
    me.ended = true;
    if (changed(me.stack, STACK_END) < STACK_END) {
        fill(me.stack, STACK_END);
        fail(name_of(me) + " has used up its stack");
    }
    leave_stack(me);
    ++warp.ended, ++block.ended, ++block.cluster->ended;
    if (warp.arrived || block.arrived) {
        fail("a divergent barrier: " + name_of(me) + " has ended while others wait for it:" + who_is_where());
    }
    if (block.ended == threads) {
        check_guards(block);
        std::memset(block.shared, 0xff, shared_bytes);
    }
    if (block.cluster->ended == cluster_size * threads) {
        ended_cluster = block.cluster;
        hand_over(me.context, outside);
    }
    switch_away();
    std::abort();
}

static void make(Cluster& cluster) {
    cluster.blocks = std::vector<Block>(cluster_size);
    for (Block& block : cluster.blocks) {
        block.cluster = &cluster;
        block.memory.reset(new char[shared_bytes + 2 * GUARD + 128]);
        auto address = reinterpret_cast<std::uintptr_t>(block.memory.get()) + GUARD;
        block.shared = block.memory.get() + GUARD + (128 - address % 128) % 128;
        block.fibers = std::vector<Fiber>(threads);
    }
}

// Reuse a resident cluster for the cluster with this number; all of its threads start from the beginning.
static void begin(Cluster& cluster, int number) {
    cluster.arrived = cluster.ended = 0;
    cluster.phase = 0;
    int per_row = grid_x / cluster_size;
    for (int rank = 0; rank < cluster_size; ++rank) {
        Block& block = cluster.blocks[rank];
        block.x = number % per_row * cluster_size + rank;
        block.y = number / per_row;
        block.arrived = block.ended = 0;
        block.begun = false;
        fill(block.shared - GUARD, GUARD);
        fill(block.shared + shared_bytes, GUARD);
        block.warps.assign((threads + warp_size - 1) / warp_size, Warp());
        for (int index = 0; index < threads; ++index) {
            Fiber& fiber = block.fibers[index];
            ++block.warps[index / warp_size].lanes;
            static_cast<Thread&>(fiber) = {index, block.x, block.y, rank, block.shared, &block};
            fiber.ended = fiber.arrived_at_cluster = false;
            fiber.cluster_phase = 0;
            fiber.stack = nullptr;
            make_ready(&fiber);
        }
    }
}

std::string run(int at_once, unsigned long long seed) {
    random_state = mixed(seed);
    contestants = 1 << random_below(3);
    by_block = random_below(2);
    steps = idle = 0;
    ready.clear();
    polling.clear();
    clusters.clear();
    failure.clear();
    free_stacks = all_stacks;
    left_stack = nullptr;
    int count = grid_x / cluster_size * grid_y, begun = 0, ended = 0;
    std::vector<int> order(count);  // blocks begin in a random order
    for (int k = 0; k < count; ++k) {
        int other = random_below(k + 1);
        order[k] = order[other];
        order[other] = k;
    }
    for (; begun < count && begun < at_once; ++begun) {
        make(clusters.emplace_back());
        begin(clusters.back(), order[begun]);
    }
    while (ended < count) {
        ended_cluster = nullptr;
        if (Fiber* first = next()) {
            resume(first, outside);
            current = nullptr;
        }
        if (!failure.empty()) return failure;
        ++ended;
        if (begun < count) begin(*ended_cluster, order[begun++]);
    }
    return "";
}

}  // namespace emulation
