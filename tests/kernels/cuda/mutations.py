"""The mistakes that `plant.py` plants in the CUDA sources: typical errors in such code, one at a time.

Each mistake replaces one occurrence of a text in `gates.cu` or `sequence.cu`, or in the files that they include. It
lists the ways of running the kernels (WAYS in plant.py) and the cells with which it can be found.
"""

from dataclasses import dataclass

ALL_CELLS = ("rnn-tanh", "rnn-relu", "lstm", "gru")


@dataclass(frozen=True)
class Mutation:
    """One mistake."""

    name: str
    old: str
    new: str
    ways: tuple[str, ...]  # tried in this order, until one finds it
    cells: tuple[str, ...] = ("lstm",)
    nth: int = 1  # which occurrence of `old`, counted from 1
    source: str = ""  # "gates" or "sequence"; "" if both contain it


def _of(ways, cells, *rows, source=""):
    """Yield mistakes that share ways, cells and a source; a row is (name, old, new) or (name, old, new, nth)."""
    for name, old, new, *nth in rows:
        yield Mutation(name, old, new, tuple(ways.split(", ")), tuple(cells.split(", ")), *nth[:1], source=source)


EVERYWHERE = "block, level 1"

CELLS = (
    *_of(
        EVERYWHERE, "rnn-tanh",
        ("tanh's derivative", "dh * (1 - h * h)", "dh * (1 - h)"),
    ),
    *_of(
        EVERYWHERE, "rnn-relu",
        ("relu: none", "relu ? (a[0] <= 0 ? 0 : a[0])", "relu ? a[0]"),
        ("relu: open at 0", "(h <= 0 ? 0 : dh)", "(h < 0 ? 0 : dh)"),
    ),
    *_of(
        EVERYWHERE, "lstm",
        ("sigmoid: one side only", "(x >= 0 ? 1 : e) / (1 + e)", "1 / (1 + e)"),
        ("c without g", "c = f * c_prev + i * g", "c = f * c_prev + i"),
        ("h without tanh", "h = o * tanh_(c)", "h = o * c"),
        ("i and f swapped", "a[0] = i, a[1] = f, a[2] = g", "a[0] = f, a[1] = i, a[2] = g"),
        ("dc starts at zero in every step", "dc = dc + dh * o * (1 - tanh_c * tanh_c)", "dc = dh * o * (1 - tanh_c * tanh_c)"),
        ("c for c_prev", "da[1] = dc * c_prev", "da[1] = dc * c"),
        ("g's derivative", "dc * i * (1 - g * g)", "dc * i * (1 - g)"),
        ("dc is not multiplied by f", "dc = dc * f;", ""),
    ),
    *_of(
        EVERYWHERE, "gru",
        ("z and 1 - z swapped", "(1 - z) * n + z * h_prev", "z * n + (1 - z) * h_prev"),
        ("r outside", "tanh_(a[0] + r * a[3])", "tanh_(r * a[0] + a[3])"),
        ("the carry is not added", "dh = dh + carry;", ""),
        ("the carry is not multiplied by z", "carry = dh * z;", "carry = dh;"),
        ("da_r without q", "da[0] * q * r * (1 - r)", "da[0] * r * (1 - r)"),
        ("da_z without n", "dh * (h_prev - n) * z", "dh * h_prev * z"),
        ("dq without r", "da[3] = da[0] * r", "da[3] = da[0]"),
    ),
)

NUMBERS = (
    *_of(
        "numbers", "rnn-relu",
        ("bf16: cut off", "bits + 0x7fff + (bits >> 16 & 1)", "bits"),
        ("bf16: ties up", "0x7fff + (bits >> 16 & 1)", "0x8000"),
        ("bf16: a NaN becomes a number", "x != x ? 0x7fc0 : ", ""),
        source="gates",
    ),
)

GATES = (
    *_of(
        "level 1", "lstm",
        ("a row runs one step too long", "x.t < x.lengths[b]", "x.t <= x.lengths[b]"),
        ("the product's wrong block", "(g - Cell::first) * x.H + u;", "u;"),
        ("the product's wrong row", "x.recurrent + b * Cell::products * x.H", "x.recurrent + b * x.H"),
        ("the input product is lost", "a[g].x[i] + more.x[i]", "more.x[i]"),
        ("c goes on past the end", "running ? c_new : c_prev.x[i]", "c_new"),
        ("h goes on past the end", "stored(running ? h_new : 0)", "stored(h_new)"),
        ("forward: no last unit", "for (int u = first; u < H; u += step) forward", "for (int u = first; u < H - 1; u += step) forward"),
        ("forward: no last pack", "u < H; u += step * N) forward", "u < H - N; u += step * N) forward"),
        ("forward: tails in packs", "bool packs = strides % N == 0 &&", "bool packs ="),
        ("forward: no last row", "b < B; b += blocks_y()", "b < B - 1; b += blocks_y()"),
        ("backward: no last unit", "for (int u = first; u < H; u += step) backward", "for (int u = first; u < H - 1; u += step) backward"),
        ("backward: no last pack", "u < H; u += step * N) backward", "u < H - N; u += step * N) backward"),
        ("backward: no last row", "b < B; b += blocks_y()", "b < B - 1; b += blocks_y()", 2),
        ("backward: tails in packs", "bool packs = strides % N == 0 &&", "bool packs =", 2),
        ("final gradients a step late", "bool last = x.t == length - 1", "bool last = x.t == length"),
        ("final gradients at the longest row's end", "bool last = x.t == length - 1", "bool last = x.t == x.T - 1"),
        ("a gradient past the end", "if (x.t < length) {", "if (x.t <= length) {"),
        ("dc_n is lost", "its_carry = carry.x[i] + dc_n.x[i]", "its_carry = carry.x[i]"),
        ("dc_n at every step", "if (x.dc_n && last) dc_n", "if (x.dc_n) dc_n"),
        ("dh_n is lost", "if (x.dh_n && last) its_dh = its_dh + dh_n.x[i];", ""),
        ("dout replaces dh", "its_dh = its_dh + widen(dout.x[i])", "its_dh = widen(dout.x[i])"),
        ("dout of another row", "load<N>(x.dout + b * x.H + u)", "load<N>(x.dout + u)"),
        ("the carry is not kept", "carry.x[i] = its_carry;", ""),
        ("the step that follows is forgotten", "if (x.recurrent) dh = load", "if (0) dh = load"),
        ("padding's da is not zero", "da[g].x[i] = stored(0)", "da[g].x[i] = stored(1)"),
        source="gates",
    ),
    *_of(
        "level 1", "gru",
        ("q without its bias", "load_wide<N>(x.bias ? x.bias + u : 0)", "load_wide<N>(0)"),
        ("h_prev of another row", "load<N>(x.h_prev + b * x.h_prev_stride + u)", "load<N>(x.h_prev + u)"),
        source="gates",
    ),
)

PRODUCT = (
    *_of(
        "block, block float64", "lstm",
        ("FMA: rows of the state", "state + lane % 8 * state_pitch", "state + lane / 8 * state_pitch"),
        ("FMA: rows of W", "units + 4 * j * W_pitch + k", "units + 2 * j * W_pitch + k"),
        ("FMA: no last vector", "k < columns; k += VECTOR", "k < columns - VECTOR; k += VECTOR"),
        ("FMA: a vector twice", "rows + 8 * i * state_pitch + k", "rows + 8 * i * state_pitch + k / 8 * 8"),
        ("FMA: sums don't start at 0", "tile.sum[i][j] = 0", "tile.sum[i][j] = 1"),
        ("FMA: results in other columns", "f(lane % 8 + 8 * i, lane / 8 + 4 * j", "f(lane % 8 + 8 * i, lane % 4 + 4 * j"),
        source="sequence",
    ),
    *_of(
        "tf32, 3xtf32, half, bf16", "lstm",
        ("MMA: a[1] and a[2] swapped", "word(row + 8 * state_pitch + k), word(row + k + STEP / 2)", "word(row + k + STEP / 2), word(row + 8 * state_pitch + k)"),
        ("MMA: b[0] and b[1] swapped", "word(its), word(its + STEP / 2)", "word(its + STEP / 2), word(its)"),
        ("MMA: no last step", "k < columns; k += STEP", "k < columns - STEP; k += STEP"),
        ("MMA: g of the state", "state + g * state_pitch + t", "state + lane % 8 * state_pitch + t"),
        ("MMA: W of the first tile", "unit + 8 * n * W_pitch + k", "unit + k"),
        ("MMA: results transposed", "f(g + i / 2 * 8, 8 * n + 2 * t + i % 2", "f(g + i % 2 * 8, 8 * n + 2 * t + i / 2"),
        ("MMA: results of one tile", "8 * n + 2 * t + i % 2", "2 * t + i % 2"),
        ("MMA: sums don't start at 0", "tile.sum[n][i] = 0", "tile.sum[n][i] = 1"),
        source="sequence",
    ),
    *_of(
        "half, bf16", "lstm",
        ("16 bits: t in words", "t = lane % 4 * PER_WORD", "t = lane % 4"),
        source="sequence",
    ),
    *_of(
        "3xtf32", "lstm",
        ("3xTF32: without small a", "mma_tf32(sum, a_small, b_large);", ""),
        ("3xTF32: without small b", "mma_tf32(sum, a_large, b_small);", ""),
        ("3xTF32: the small part is the large one's", "small = to_tf32(x - from_bits(large))", "small = to_tf32(x)"),
        source="sequence",
    ),
)

SEQUENCE = (
    *_of(
        "block, pieces, steps", "lstm",
        ("W: product and group swapped", "row / 8 % Cell::products", "row % Cell::products"),
        ("W: units of the first group", "unit0 + row / (8 * Cell::products) * 8 + row % 8", "unit0 + row % 8"),
        ("W: one column less", "unit < H ? H - k0 : 0", "unit < H ? H - k0 - 1 : 0"),
        ("W: columns past the last", "unit < H ? H - k0 : 0", "unit < H ? columns : 0"),
        ("W transposed: no last term", "k0 + k < K && unit0", "k0 + k < K - 1 && unit0"),
        ("W transposed: of one product", "k0 + k < K && unit0", "k0 + k < H && unit0"),
        ("state: rows", "source + row * stride", "source + row % 8 * stride"),
        ("state: no last column", "k < there ? Memory::read(from + k)", "k < there - 1 ? Memory::read(from + k)"),
        ("state: no last vector", "q[i] = k < there ?", "q[i] = k < there - VECTOR ?"),
        ("parts: the state of the first", "block.state + split * part", "block.state"),
        ("parts: W of the first", "W_column + split * part", "W_column"),
        ("parts: not all computed", "job < groups * pass.splits", "job < groups"),
        ("parts: one is not added", "split < splits; ++split", "split < splits - 1; ++split"),
        ("parts: of another row", "(split * TILE_ROWS + row) * block.partial_pitch", "(split * TILE_ROWS + row / 2) * block.partial_pitch"),
        ("the product's wrong column", "u / 8 * N + (g - Cell::first) * 8 + u % 8", "u / 8 * N + g % 2 * 8 + u % 8"),
        ("forward: a row too many", "row >= B || unit >= H", "row > B || unit >= H"),
        ("forward: a unit too many", "row >= B || unit >= H", "row >= B || unit > H"),
        ("forward: c of the first step", "pass.training ? t * step : 0) + place", "pass.training ? 0 : 0) + place"),
        ("forward: c over c_prev", "its_c[pass.training ? step : 0] = c", "its_c[0] = c"),
        ("forward: c of inference as of training", "its_c[pass.training ? step : 0] = c", "its_c[step] = c"),
        ("forward: a row runs one step too long", "t >= pass.lengths[row]", "t > pass.lengths[row]"),
        ("forward: c goes on past the end", "h = 0, c = c_prev;", "h = 0;"),
        ("forward: h goes on past the end", "h = 0, c = c_prev;", "c = c_prev;"),
        ("forward: gates are not kept", "gates[g * H] = a[g]", "gates[g * H] = a[0]"),
        ("backward: a row too many", "row >= B || unit >= H", "row > B || unit >= H", 2),
        ("backward: a unit too many", "row >= B || unit >= H", "row >= B || unit > H", 2),
        ("backward: without dh0", "last + pass.base < T + 1 ? last + pass.base : T + 1", "last + pass.base < T ? last + pass.base : T"),
        ("backward: nothing before the first step", "s > 0 ? total(", "s >= 0 ? total("),
        ("backward: a gradient past the end", "if (t < length) {", "if (t <= length) {"),
        ("backward: dh_n at the longest row's end", "pass.dh_n && t == length - 1", "pass.dh_n && t == T - 1"),
        ("backward: dc_n a step early", "pass.dc_n && t == length - 1", "pass.dc_n && t == length - 2"),
        ("backward: c for c_prev", "c = pass.c[(t + 1) * step + place]", "c = pass.c[t * step + place]"),
        ("backward: dout replaces dh", "dh = dh + widen(pass.dout[t * step + place])", "dh = widen(pass.dout[t * step + place])"),
        ("backward: dout of the next step", "pass.dout[t * step + place]", "pass.dout[(t ? t - 1 : t) * step + place]"),
        ("backward: the carry is not kept", "if (pass.carry) pass.carry[place] = carry;", ""),
        ("backward: padding's da is not zero", "da[g] = 0;", "da[g] = 1;"),
        ("backward: only the first gate's da", "pass.da[gates_at + g * H] = stored(da[g])", "pass.da[gates_at + g * H] = stored(da[0])"),
        ("no barrier between load and product", "sync_block();\n                multiply<N>", "multiply<N>"),
        ("no barrier between product and gates", "pass.resident ? k : 0, k == 0);\n                if (pass.grid) sync_block();", "pass.resident ? k : 0, k == 0);"),
        ("backward: no barrier between load and product", "sync_block();\n                multiply<N>", "multiply<N>", 2),
        ("backward: no barrier between product and gates", "pass.resident ? k : 0, k == 0);\n                if (pass.grid) sync_block();", "pass.resident ? k : 0, k == 0);", 2),
        source="sequence",
    ),
    *_of(
        "block", "lstm",
        ("state: the zeros at the end are not loaded", "if (!pass.grid && s == 0) load_state", "if (0) load_state"),
        ("block: h is not published", "*place = x;", ""),
        source="sequence",
    ),
    *_of(
        "block, cluster", "gru",
        ("forward: q without its bias", "g < projected ? gates[g * H] : pass.bias[unit]", "g < projected ? gates[g * H] : 0"),
        ("forward: q has no part of x", "projected = Cell::first ? 3 : Cell::blocks", "projected = Cell::blocks"),
        ("backward: dh0 without the carry", "dh + Cell::past_the_products(carry)", "dh"),
        ("backward: columns of n", "int column = (g - Cell::first) * H + unit", "int column = g * H + unit"),
        ("backward: h for h_prev", "h_prev = widen(pass.h[t * step + place])", "h_prev = widen(pass.h[(t + 1) * step + place])"),
        source="sequence",
    ),
    *_of(
        "pieces, grid", "gru",
        ("backward: da of n too", "Cell::blocks + Cell::first * H;", "Cell::blocks;"),
        source="sequence",
    ),
    *_of(
        "cluster", "lstm",
        ("cluster: one block receives nothing", "rank < CLUSTER; ++rank", "rank < CLUSTER - 1; ++rank"),
        ("cluster: h of the first block's units", "block.state_pitch + unit, staged", "block.state_pitch + u, staged"),
        ("cluster: forward: h is overwritten while it is read", "if (!pass.grid) cluster_barrier();  // no block reads h[t] after this", ""),
        ("cluster: forward: h is read before it is there", "if (!pass.grid) cluster_barrier();  // every block has h[t + 1]", ""),
        ("cluster: backward: da is overwritten while it is read", "if (!pass.grid) cluster_barrier();  // no block reads da[t + 1] after this", ""),
        ("cluster: backward: da is read before it is there", "if (!pass.grid) cluster_barrier();  // every block has da[t]", ""),
        ("cluster: no block waits", "cluster_arrive();\n    cluster_wait();", "sync_block();"),
        source="sequence",
    ),
    *_of(
        "pieces, steps", "lstm",
        ("chunks: W's first", "* H + k0;", "* H;"),
        ("chunks: W transposed, the first", "its[(long long)(k0 + k) * H]", "its[(long long)k * H]"),
        ("chunks: not added", "first_chunk ? sum : place + sum", "sum"),
        ("chunks: the state's first", "(long long)row0 * H + k, H, B - row0, H - k", "(long long)row0 * H, H, B - row0, H - k"),
        ("chunks: the state's end", "(long long)row0 * H + k, H, B - row0, H - k", "(long long)row0 * H + k, H, B - row0, H"),
        ("chunks: the gradient's first", "load_state(block, da_next + k,", "load_state(block, da_next,"),
        ("forward: the first tile of the batch", "t * step + (long long)row0 * H + k", "t * step + k"),
        ("forward: every second tile", "row0 < B; row0 += blocks_y() * TILE_ROWS", "row0 < B; row0 += 2 * blocks_y() * TILE_ROWS"),
        ("backward: every second tile", "row0 < B; row0 += blocks_y() * TILE_ROWS", "row0 < B; row0 += 2 * blocks_y() * TILE_ROWS", 2),
        ("backward: the first tile of the batch", "(t + 1) * step + (long long)row0 * H) * Cell::blocks", "(t + 1) * step) * Cell::blocks"),
        source="sequence",
    ),
    *_of(
        "grid, pieces", "lstm",
        ("grid: forward doesn't wait", "wait_for_grid(pass, done - tiles + 1, gave_up)", "sync_block()"),
        ("grid: forward waits for a tile less", "wait_for_grid(pass, done - tiles + 1, gave_up)", "wait_for_grid(pass, done - tiles, gave_up)"),
        ("grid: backward doesn't wait", "wait_for_grid(pass, done - tiles + 1, gave_up)", "sync_block()", 2),
        ("grid: backward waits for a tile less", "wait_for_grid(pass, done - tiles + 1, gave_up)", "wait_for_grid(pass, done - tiles, gave_up)", 2),
        ("grid: a tile too many to wait for", "stride - 1) / stride;", "stride - 1) / stride + 1;"),
        ("grid: waits for the first block only", "block < blocks_x(); block += THREADS", "block < 1; block += THREADS"),
        ("grid: arrives before all threads are done", "DEVICE void arrive_grid(const Pass& pass, int done) {\n    sync_block();", "DEVICE void arrive_grid(const Pass& pass, int done) {"),
        ("grid: threads continue before the wait is over", "gave_up = sync_block_or(gave_up);", ""),
        ("grid: flags of another team", "pass.flags + block_y() * blocks_x() + block_x(), done", "pass.flags + block_x(), done"),
        ("grid: forward announces too much", "t + 1 < last) arrive_grid(pass, done)", "t + 1 < last) arrive_grid(pass, done + 1)"),
        ("grid: backward announces too little", "s + 1 < last) arrive_grid(pass, done)", "s + 1 < last) arrive_grid(pass, done - 1)"),
        source="sequence",
    ),
    *_of(
        "long rows", "rnn-tanh",
        ("rows: the first vectors only", "k0 += AHEAD * WARP * VECTOR", "k0 += columns"),
        ("rows: later vectors to the first's place", "if (k < columns) *(Quad*)(to + k)", "if (k < columns) *(Quad*)(to + k0)"),
        ("rows: later vectors from the first's place", "(const Quad*)(from + k)", "(const Quad*)(from + k0)"),
        ("W transposed: the first terms only", "first += AHEAD * STRIDE", "first += columns"),
        ("W transposed: later terms to the first's place", "to[k] = staged(w[i])", "to[first] = staged(w[i])"),
        source="sequence",
    ),
    *_of(
        "long steps", "lstm",
        ("graph: forward without the base", "first += pass.base;", ""),
        ("graph: backward without the base", "first += pass.base;", "", 2),
        ("graph: forward past the last step", "last + pass.base < T ? last + pass.base : T;", "last + pass.base;"),
        ("graph: the base is one too low", "pass->base += steps", "pass->base += steps - 1"),
        source="sequence",
    ),
)

MUTATIONS = (*CELLS, *NUMBERS, *GATES, *PRODUCT, *SEQUENCE)

# Changes that do not affect any result, with the reason. They are not planted.
EQUIVALENT = {
    "gates are overwritten past a row's end too": "no code reads them: the backward pass reads only steps before the end",
    "more than one round of the loops over units": "the grid that the host launches has a thread for every unit",
    "rows past the batch's end are loaded": "their results are not stored, and the rows of a product are independent",
    "store_release without release, fresh() as a plain load": "the emulated threads see each write at once; only a GPU can show the error",
    "state: one of the three conditions for vectors is dropped": "for the rows of every cell, each condition follows from the other two",
    "pitches": "the position of rows in shared memory affects the time, not the values",
}
