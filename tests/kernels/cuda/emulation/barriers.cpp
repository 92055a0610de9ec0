// The functions of shim.hpp in which threads wait for each other, exchange values or read memory that others write.

#include <cstdint>

#include "scheduler.hpp"

namespace emulation {

// The last of `count` fibers has reached a barrier: release all of them, or fail if one waits somewhere else.
static void release(Fiber* first, int count, const char* function, Place place) {
    idle = 0;
    mark_waiting(function, place);
    for (Fiber* fiber = first; fiber < first + count; ++fiber) {
        bool here = same(fiber->waits, function) && fiber->place.line == place.line && same(fiber->place.file, place.file);
        if (!here) fail("a divergent barrier:" + who_is_where());
    }
    for (Fiber* fiber = first; fiber < first + count; ++fiber) make_ready(fiber);
    switch_away();
}

static void expect_all_running(int ended, const char* function, Place place) {
    if (ended) {
        fail("a divergent barrier: " + name_of(self()) + " reaches " + function + " in " + name_of(place)
             + text(", where %d of the threads that it waits for have ended", ended));
    }
}

void collective(const char* function, Place place, const void* operands, void (*compute)(const void* const operands[])) {
    Fiber& me = self();
    int lane = me.index % warp_size;
    Warp& warp = me.block->warps[me.index / warp_size];
    if (compute && warp.lanes < warp_size) {
        fail(std::string(function) + " in a warp of less than 32 lanes, in " + name_of(place));
    }
    expect_all_running(warp.ended, function, place);
    warp.operands[lane] = operands;
    if (++warp.arrived < warp.lanes) return wait(function, place);
    warp.arrived = 0;
    if (compute) compute(warp.operands);
    release(&me - lane, warp.lanes, function, place);
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

void poll_sometimes(const char* function, Place place) {
    if (random_below(16) == 0) poll(function, place);
}

}  // namespace emulation

using namespace emulation;

void sync_block(Place place) {
    Block& block = *self().block;
    expect_all_running(block.ended, "sync_block", place);
    if (++block.arrived < threads) return wait("sync_block", place);
    block.arrived = 0;
    release(block.fibers.data(), threads, "sync_block", place);
}

bool sync_block_or(bool mine, Place place) {
    Block& block = *self().block;
    block.any_so_far |= mine;
    if (block.arrived + 1 == threads) {
        block.any_at_last = block.any_so_far;
        block.any_so_far = false;
    }
    sync_block(place);
    return block.any_at_last;
}

void sync_warp(Place place) { collective("sync_warp", place, nullptr, nullptr); }

void cluster_arrive(Place place) {
    Fiber& me = self();
    Cluster& cluster = *me.block->cluster;
    expect_all_running(cluster.ended, "cluster_arrive", place);
    if (me.arrived_at_cluster) fail(name_of(me) + " arrives twice at the cluster's barrier, in " + name_of(place));
    idle = 0;
    me.arrived_at_cluster = true;
    me.cluster_phase = cluster.phase;
    if (++cluster.arrived < cluster_size * threads) return;
    cluster.arrived = 0;
    ++cluster.phase;
    for (Block& block : cluster.blocks) {
        for (Fiber& fiber : block.fibers) {
            if (same(fiber.waits, "cluster_wait")) make_ready(&fiber);
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
    make_ready(&me);
    switch_away();
}

void jitter() {
    if (random_below(4)) return;
    make_ready(&self());
    switch_away();
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
