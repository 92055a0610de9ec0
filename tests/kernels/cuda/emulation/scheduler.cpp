// Runs the threads of a launch in turn: one fiber each, the next one drawn at random wherever a thread waits.
//
// A thread runs until it waits for others, polls memory that others write, or ends. Where it would be wrong on a GPU to
// wait (some threads of a block wait at a barrier, others have ended or wait elsewhere), where nobody can go on, and
// where threads only ever poll, the launch ends with a message that says who waits where.

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "collective.hpp"
#include "fibers.hpp"

namespace emulation {

constexpr std::size_t STACK = 1 << 16;       // bytes of a fiber's stack; whoever writes into the last ones of it
constexpr std::size_t STACK_END = 1 << 10;   // has used it up
constexpr std::size_t GUARD = 1 << 12;       // bytes on both sides of a block's shared memory
constexpr std::uint16_t GUARD_BITS = 0x7ffb; // a quiet NaN as half, bf16, float and double, as are ones in all bits

struct Cluster;

struct Fiber : Thread {
    Context context;
    char* stack;         // null before it has begun and after it has ended
    bool ended, arrived_at_cluster;
    long cluster_phase;  // the one that `arrived_at_cluster` is about
    const char* waits;   // at which word, or null
    Place place;
};

struct Warp {
    int arrived = 0, ended = 0, lanes = 0;
    const void* operands[warp_size];
};

struct Block {
    int x, y, arrived, ended;
    bool begun;
    bool somebody = false, anybody = false;  // sync_block_or: said so far, and said at the last one
    Cluster* cluster;
    std::unique_ptr<char[]> memory;
    char* shared;  // a part of `memory`
    std::vector<Fiber> fibers;
    std::vector<Warp> warps;
};

struct Cluster {
    std::vector<Block> blocks;
    int arrived, ended;  // threads
    long phase;          // how often all have arrived
};

// ---- the launch ----------------------------------------------------------------------------------------------------

Thread* current;  // a Fiber; null outside of all
int threads, grid_x, grid_y;  // of a block; blocks

static const Kernel* kernel;
static void** kernel_args;
static int cluster_size;
static std::size_t shared_bytes;

static Context outside;
static std::vector<Fiber*> ready, polling;  // who can go on; who looks whether it can
static std::deque<Cluster> clusters;        // those that are resident
static Cluster* ended_cluster;
static std::string failure;
static unsigned long long random_state;
static long long steps, idle;  // switches; and polls since anybody did more than poll
static long long step_limit, idle_limit;
static int contestants;        // so many candidates are drawn, the best priority goes on
static bool by_block;          // whose priority: the block's or the warp's

static void live();

static Fiber& self() { return *static_cast<Fiber*>(current); }

static unsigned long long mixed(unsigned long long x) {  // splitmix64
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static unsigned random_below(unsigned n) {
    random_state = random_state * 6364136223846793005 + 1442695040888963407;
    return static_cast<unsigned>((random_state >> 32) * n >> 32);
}

// ---- what went wrong -----------------------------------------------------------------------------------------------

__attribute__((format(printf, 1, 2))) static std::string text(const char* format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    return line;
}

static std::string name_of(const Place& place) {
    const char* slash = std::strrchr(place.file, '/');
    return text("%s:%d", slash ? slash + 1 : place.file, place.line);
}

static std::string name_of(const Fiber& fiber) {
    return text("thread %d of block (%d, %d)", fiber.index, fiber.block_x, fiber.block_y);
}

// The threads of some blocks, by where they are.
static std::string who_is_where() {
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

[[noreturn]] static void fail(const std::string& message) {
    failure = message;
    hand_over(self().context, outside);
    std::abort();
}

// ---- whose turn it is ----------------------------------------------------------------------------------------------

static Fiber* take(std::vector<Fiber*>& from, std::size_t k) {
    Fiber* fiber = from[k];
    from[k] = from.back();
    from.pop_back();
    return fiber;
}

// Priorities hold for some thousand switches, so that a block or a warp gets far ahead of others.
static unsigned long long priority(const Fiber* fiber) {
    unsigned long long block = fiber->block_y * 65536ull + fiber->block_x;
    unsigned long long warp = by_block ? 0 : fiber->index / warp_size;
    return mixed((steps >> 12 << 40) + (block << 8) + warp);
}

// The next fiber, or null after a failure.
static Fiber* next() {
    if (++steps > step_limit) {
        failure = text("no end after %lld switches:", step_limit) + who_is_where();
        return nullptr;
    }
    if (!polling.empty() && (ready.empty() || random_below(8) == 0)) {
        if (ready.empty() && ++idle > idle_limit) {
            failure = text("an endless wait, %lld times nobody did more than poll:", idle_limit) + who_is_where();
            return nullptr;
        }
        return take(polling, random_below(polling.size()));
    }
    if (ready.empty()) {
        failure = "a deadlock, nobody can go on:" + who_is_where();
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

// A thread has a stack from its beginning to its end: where nobody waits for others, they all have the same two.
static std::vector<char*> all_stacks, free_stacks;
static char* left_stack;  // of the thread that ended last, which still stands on it while the next one is chosen

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
    std::size_t offset = number * 5 % 32 * 128;  // so that not all share one set of the CPU's caches
    prepare(fiber.context, fiber.stack, STACK - offset, live);
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

// Somebody else runs. Who calls this has said where the current fiber is to be found again.
static void others_run() {
    Fiber *me = &self(), *other = next();
    if (!other) hand_over(me->context, outside);
    if (other != me) resume(other, me->context);
}

static void go_on(Fiber* fiber) {
    fiber->waits = nullptr;
    ready.push_back(fiber);
}

static void say(const char* word, Place place) {
    self().waits = word;
    self().place = place;
}

static void wait(const char* word, Place place) {
    say(word, place);
    others_run();
}

static void poll(const char* word, Place place) {
    polling.push_back(&self());
    wait(word, place);
    self().waits = nullptr;
}

static bool same(const char* a, const char* b) { return a == b || (a && b && !std::strcmp(a, b)); }

// The last of so many fibers has come to a word: all go on, if all are there.
static void release(Fiber* first, int count, const char* word, Place place) {
    idle = 0;
    say(word, place);
    for (Fiber* fiber = first; fiber < first + count; ++fiber) {
        bool here = same(fiber->waits, word) && fiber->place.line == place.line && same(fiber->place.file, place.file);
        if (!here) fail("a divergent barrier:" + who_is_where());
    }
    for (Fiber* fiber = first; fiber < first + count; ++fiber) go_on(fiber);
    others_run();
}

static void expect_nobody_ended(int ended, const char* word, Place place) {
    if (ended) {
        fail("a divergent barrier: " + name_of(self()) + " comes to " + word + " in " + name_of(place)
             + text(", %d of those it would wait for have ended", ended));
    }
}

// ---- from a block's beginning to its end ---------------------------------------------------------------------------

// The first byte that has changed since, or `size`.
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

// A fiber's whole life. A block's shared memory is NaN when its first thread begins and after its last one has ended:
// what others write there too early or too late is lost.
static void live() {
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
        fail("a divergent barrier: " + name_of(me) + " has ended, and others wait for it:" + who_is_where());
    }
    if (block.ended == threads) {
        check_guards(block);
        std::memset(block.shared, 0xff, shared_bytes);
    }
    if (block.cluster->ended == cluster_size * threads) {
        ended_cluster = block.cluster;
        hand_over(me.context, outside);
    }
    others_run();
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

// Make this the launch's cluster of that number, all of its threads at their beginning.
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
            go_on(&fiber);
        }
    }
}

// The launch from its beginning to its end, with so many clusters at once: an empty string, or what went wrong.
static std::string run(int at_once, unsigned long long seed) {
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
    std::vector<int> order(count);  // blocks begin in any order
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

// ---- the words -----------------------------------------------------------------------------------------------------

void collective(const char* word, Place place, const void* operands, void (*compute)(const void* const operands[])) {
    Fiber& me = self();
    int lane = me.index % warp_size;
    Warp& warp = me.block->warps[me.index / warp_size];
    if (compute && warp.lanes < warp_size) {
        fail(std::string(word) + " in a warp of less than 32 lanes, in " + name_of(place));
    }
    expect_nobody_ended(warp.ended, word, place);
    warp.operands[lane] = operands;
    if (++warp.arrived < warp.lanes) return wait(word, place);
    warp.arrived = 0;
    if (compute) compute(warp.operands);
    release(&me - lane, warp.lanes, word, place);
}

char* peer(char* here, unsigned long size, int rank, Place place) {
    Block& block = *self().block;
    std::ptrdiff_t offset = here - block.shared;
    if (offset < 0 || offset + size > shared_bytes || rank < 0 || rank >= cluster_size) {
        fail(text("peer of byte %td in %zu of shared memory, rank %d of %d, in ", offset, shared_bytes, rank,
                  cluster_size) + name_of(place));
    }
    Block& other = block.cluster->blocks[rank];
    if (other.ended == threads) {
        fail(text("peer of block %d of the cluster, which has ended, in ", rank) + name_of(place));
    }
    return other.shared + offset;
}

void poll_sometimes(const char* word, Place place) {
    if (random_below(16) == 0) poll(word, place);
}

static std::vector<Kernel>& kernels() {
    static std::vector<Kernel> all;
    return all;
}

bool add(const Kernel& kernel) {
    kernels().push_back(kernel);
    return true;
}

// Empty, or why these arguments are not the kernel's. A null pointer's letter is n.
static std::string unfit(const Kernel& kernel, const char* letters, const int* sizes) {
    if (std::strlen(kernel.letters) != std::strlen(letters)) {
        return text("takes %zu arguments, got %zu", std::strlen(kernel.letters), std::strlen(letters));
    }
    for (int k = 0; letters[k]; ++k) {
        char wanted = kernel.letters[k], got = letters[k];
        bool pointer = wanted == 'w' || wanted == 'r';
        if (got != wanted && !(pointer && got == 'n') && !(wanted == 'r' && got == 'w')) {
            const char* format = "argument %d is of kind %c, got %c (w, r: to be written, read; n: null; i, l, f, d)";
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

void sync_block(Place place) {
    Block& block = *self().block;
    expect_nobody_ended(block.ended, "sync_block", place);
    if (++block.arrived < threads) return wait("sync_block", place);
    block.arrived = 0;
    release(block.fibers.data(), threads, "sync_block", place);
}

bool sync_block_or(bool mine, Place place) {
    Block& block = *self().block;
    block.somebody |= mine;
    if (block.arrived + 1 == threads) {
        block.anybody = block.somebody;
        block.somebody = false;
    }
    sync_block(place);
    return block.anybody;
}

void sync_warp(Place place) { collective("sync_warp", place, nullptr, nullptr); }

void cluster_arrive(Place place) {
    Fiber& me = self();
    Cluster& cluster = *me.block->cluster;
    expect_nobody_ended(cluster.ended, "cluster_arrive", place);
    if (me.arrived_at_cluster) fail(name_of(me) + " arrives twice at the cluster's barrier, in " + name_of(place));
    idle = 0;
    me.arrived_at_cluster = true;
    me.cluster_phase = cluster.phase;
    if (++cluster.arrived < cluster_size * threads) return;
    cluster.arrived = 0;
    ++cluster.phase;
    for (Block& block : cluster.blocks) {
        for (Fiber& fiber : block.fibers) {
            if (same(fiber.waits, "cluster_wait")) go_on(&fiber);
        }
    }
}

void cluster_wait(Place place) {
    Fiber& me = self();
    if (!me.arrived_at_cluster) {
        fail(name_of(me) + " waits for the cluster without having arrived, in " + name_of(place));
    }
    me.arrived_at_cluster = false;
    if (me.block->cluster->phase == me.cluster_phase) return wait("cluster_wait", place);
    go_on(&me);
    others_run();
}

void jitter() {
    if (random_below(4)) return;
    go_on(&self());
    others_run();
}

void store_release(int* p, int v) {
    jitter();
    idle = 0;
    *static_cast<volatile int*>(p) = v;
    jitter();
}

void store_system(int* p, int v) { store_release(p, v); }

int load_acquire(const int* p, Place place) {
    poll("load_acquire", place);
    return *static_cast<const volatile int*>(p);
}

void nap(Place place) { poll("nap", place); }

// Run a kernel of this library. 0, or 1 with a message.
extern "C" __attribute__((visibility("default"))) int emulate(
    const char* name, int x, int y, int block, int cluster, std::size_t shared, int at_once,
    unsigned long long seed, void** args, const char* letters, const int* sizes, long long most_steps,
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
            step_limit = most_steps;
            idle_limit = most_polls;
            error = run(at_once / cluster > 1 ? at_once / cluster : 1, seed);
        }
    }
    std::snprintf(message, message_size, "%s", error.c_str());
    return error.empty() ? 0 : 1;
}
