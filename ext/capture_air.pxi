# The air along the tunnel, as two good rows saw it, and a board that follows it.

cdef int64_t HALF_SECOND_NS = 500_000_000
cdef int64_t AIR_HELD_NS = 5_000_000_000
"""How long the air of a zone without a good value is taken to stay."""
cdef int64_t LONGEST_BRIDGE_NS = 3_600_000_000_000
"""Over a longer gap nobody knows what a board felt."""


cdef int lay_air(Lane *lane, list zones, tuple thermal) except -1:
    """Lay the nodes between which the air is linear; after the last it decays."""
    lane.tau, ramp_start, ramp_end, lane.decay_mm, lane.exit, lane.ambient = thermal
    if not (lane.tau > 0 and lane.decay_mm > 0 and ramp_start <= ramp_end):
        raise ValueError(f"thermal model {thermal}: tau and decay must be positive, the ramp must rise")
    if not lane.heated_n:
        return 0
    nodes = [(ramp_start, lane.heated_n), (ramp_end, 0)]
    heated = [zone for zone in zones if zone[2]]
    for i, zone in enumerate(heated):
        nodes += [(edge, i) for edge in zone[:2] if edge > ramp_end]
    heated_end = max([zone[1] for zone in heated])
    if heated_end <= ramp_end:
        raise ValueError(f"thermal model: ramp ends at {ramp_end} mm, after the last heated zone at {heated_end} mm")
    lane.last_node = len(nodes) - 1
    for i, (mm, air) in enumerate(nodes):
        lane.nodes[i] = Node(mm, air)
    return 0


cdef void forget(const Lane *lane, Belt *belt) noexcept:
    """A belt of which nothing was seen yet; the room's air is always known."""
    cdef int i
    belt.last_ns = belt.good_ns = NEVER
    belt.decay_ns = -1
    belt.travel, belt.speed, belt.decay = 0.0, NAN, 1.0
    for i in range(lane.heated_n + 1):
        belt.air[i] = belt.air_before[i] = lane.ambient if i == lane.heated_n else NAN
        belt.seen[i] = belt.seen_before[i] = -(NEVER + 1) if i == lane.heated_n else NEVER


cdef void breathe(const Lane *lane, Belt *belt, int64_t t, const double *values, const uint8_t *quality) noexcept:
    """Air of every heated zone: the mean of its good columns, else its last value for a while."""
    cdef int i, j, k, count
    cdef double total
    for i in range(lane.zones_n):
        k = lane.zones[i].heated
        if k < 0:
            continue
        total, count = 0.0, 0
        for j in range(lane.zones[i].first, lane.zones[i].first + lane.zones[i].columns):
            if usable(values, quality, lane.columns[j]):
                total += values[lane.columns[j]]
                count += 1
        if count:
            belt.air[k], belt.seen[k] = total / count, t
        else:
            belt.seen[k] = belt.seen_before[k]
            belt.air[k] = belt.air_before[k] if belt.seen[k] != NEVER and t - belt.seen[k] <= AIR_HELD_NS else NAN


cdef bint run(const Lane *lane, Belt *belt, int64_t t, const double *values, const uint8_t *quality) noexcept:
    """Move the belt to one row; says whether the row is good."""
    cdef double v = values[lane.speed] * lane.unit
    belt.last_ns = t
    if quality[lane.speed] != GOOD or not isfinite(v):
        return False
    if belt.good_ns != NEVER:
        belt.travel += (belt.speed + v) / 2 * (t - belt.good_ns) * 1e-9
    belt.good_ns, belt.speed = t, v
    belt.air, belt.air_before = belt.air_before, belt.air
    belt.seen, belt.seen_before = belt.seen_before, belt.seen
    breathe(lane, belt, t, values, quality)
    return True


cdef inline double source(const Belt *belt, int air, double f, int64_t entered_ns, bint first) noexcept nogil:
    """Air of a zone between the two last good rows (f 0 to 1); NaN where nobody saw it since the board entered."""
    cdef double before, now = belt.air[air] if belt.seen[air] >= entered_ns else NAN
    if f >= 1.0 or first:
        return now
    before = belt.air_before[air] if belt.seen_before[air] >= entered_ns else NAN
    return before if f <= 0.0 else before + (now - before) * f


cdef double air_at(const Lane *lane, Board *board, const Belt *belt, double x, double f, bint first) noexcept:
    """Air at a place and a moment between the two last good rows."""
    cdef const Node *node = lane.nodes
    cdef int at = board.segment
    cdef double left, right
    while at < lane.last_node and x >= node[at + 1].mm:
        at += 1
    while at >= 0 and x < node[at].mm:
        at -= 1
    board.segment = at
    if at < 0:
        return lane.ambient
    left = source(belt, node[at].air, f, board.entered_ns, first)
    if at == lane.last_node:
        return lane.exit + (left - lane.exit) * exp(-(x - node[at].mm) / lane.decay_mm)
    if node[at].air == node[at + 1].air:
        return left
    right = source(belt, node[at + 1].air, f, board.entered_ns, first)
    return left + (right - left) * (x - node[at].mm) / (node[at + 1].mm - node[at].mm)


cdef void warm(const Lane *lane, Board *board, Belt *belt, int64_t dt_ns, double m0, double m1) noexcept:
    """Exponential steps of at most half a second towards the mean of the air at both ends."""
    cdef int64_t n = (dt_ns + HALF_SECOND_NS - 1) // HALF_SECOND_NS, i
    cdef bint first = board.good == 0
    cdef double f, air, air_before, mean
    if dt_ns > LONGEST_BRIDGE_NS:
        board.celsius = NAN
    if n == 0 or board.celsius != board.celsius:
        return
    if belt.decay_ns != dt_ns:
        belt.decay = exp(-(dt_ns * 1e-9 / n) / lane.tau)
        belt.decay_ns = dt_ns
    air_before = air_at(lane, board, belt, m0, 0.0, first)
    for i in range(1, n + 1):
        f = <double>i / n
        air = air_at(lane, board, belt, m0 + (m1 - m0) * f, f, first)
        mean = (air_before + air) / 2
        board.celsius = mean + (board.celsius - mean) * belt.decay
        air_before = air
