# One board: the zones it passes, what is counted of it, and its trace.


cdef inline void count_in(Tally *tally, double value) noexcept nogil:
    tally.count += 1
    tally.total += value
    tally.low = min(tally.low, value)
    tally.high = max(tally.high, value)


cdef inline int64_t crossing(int64_t t0, int64_t t1, double m0, double m1, double edge) noexcept nogil:
    """When a middle that went from m0 to m1 was at the edge."""
    if m0 >= edge or m1 <= m0:
        return t0
    return t0 + llround((edge - m0) / (m1 - m0) * <double>(t1 - t0))


cdef int lay_zones(Lane *lane, list zones) except -1:
    cdef int used = 0, heated = 0
    cdef double end = -INFINITY
    for i, (start_mm, end_mm, is_heated, columns) in enumerate(zones):
        if not end <= start_mm < end_mm < INFINITY:
            raise ValueError(f"zone {i} from {start_mm} to {end_mm} mm: zones have a length and follow one another "
                             "without overlap")
        end = end_mm
        lane.zones[i] = Zone(start_mm, end_mm, (start_mm + end_mm) / 2,
                             used, len(columns), heated if is_heated else -1)
        used += len(columns)
        heated += bool(is_heated)
    lane.columns_n = used


cdef void vacate(Seat *seat) noexcept:
    free(seat.passages)
    free(seat.tallies)
    free(seat.trace_ns)
    free(seat.trace)
    seat.passages, seat.tallies, seat.trace_ns, seat.trace = NULL, NULL, NULL, NULL


cdef int seat_for(const Lane *lane, Seat *seat) except -1:
    """Room for one board, made when a slot is first used: most never are."""
    if seat.passages:
        return 0
    seat.passages = <Passage *>calloc(lane.zones_n + 1, sizeof(Passage))
    seat.tallies = <Tally *>calloc(lane.tallies_n + 1, sizeof(Tally))
    seat.trace_ns = <int64_t *>calloc(lane.trace_points, sizeof(int64_t))
    seat.trace = <double *>calloc(lane.trace_points, sizeof(double))
    if not (seat.passages and seat.tallies and seat.trace_ns and seat.trace):
        vacate(seat)
        raise MemoryError
    return 0


cdef void clear(const Lane *lane, Seat *seat) noexcept:
    """A board that has felt nothing yet."""
    cdef int i
    memset(&seat.board, 0, sizeof(Board))
    seat.board.last_ns = NEVER
    seat.board.stride = 1
    for i in range(lane.zones_n):
        seat.passages[i] = Passage(NEVER, NEVER, NEVER, 0, 0, 0)
    for i in range(lane.tallies_n):
        seat.tallies[i] = Tally(0, 0.0, INFINITY, -INFINITY, NAN)


cdef int first_zone(const Lane *lane, double middle) noexcept:
    """The zone that a middle is in or comes to next."""
    cdef int zone = 0
    while zone < lane.zones_n and lane.zones[zone].end <= middle:
        zone += 1
    return zone


cdef inline void tally_zone(const Lane *lane, Seat *seat, const Zone *zone, bint at_centre,
                            const double *values, const uint8_t *quality) noexcept:
    cdef Tally *tallies = seat.tallies + lane.stay_n
    cdef int i, column
    for i in range(zone.first, zone.first + zone.columns):
        column = lane.columns[i]
        if not usable(values, quality, column):
            continue
        if at_centre:
            tallies[i].at_centre = values[column]
        else:
            count_in(&tallies[i], values[column])


cdef void pass_zones(const Lane *lane, Seat *seat, int64_t t, double m0, double m1,
                     const double *values, const uint8_t *quality) noexcept:
    """Zones reached, zones left, and what the one around the board's middle did to it."""
    cdef Board *board = &seat.board
    cdef Zone *zone
    cdef Passage *passage
    while board.zone < lane.zones_n and m1 >= lane.zones[board.zone].start:
        zone = &lane.zones[board.zone]
        passage = &seat.passages[board.zone]
        if passage.last_ns == NEVER:
            passage.last_ns = crossing(board.good_ns, t, m0, m1, zone.start)
            passage.left_ns = NEVER
            if passage.entered_ns == NEVER:
                passage.entered_ns = passage.last_ns
        if m1 >= zone.centre and not passage.centred:
            passage.centred = 1
            tally_zone(lane, seat, zone, True, values, quality)
        if m1 < zone.end:
            passage.rows += 1
            passage.longest_ns = max(passage.longest_ns, t - passage.last_ns)
            passage.last_ns = t
            tally_zone(lane, seat, zone, False, values, quality)
            return
        passage.left_ns = crossing(board.good_ns, t, m0, m1, zone.end)
        passage.longest_ns = max(passage.longest_ns, passage.left_ns - passage.last_ns)
        passage.last_ns = NEVER
        board.zone += 1


cdef inline void write_trace(const Lane *lane, Seat *seat) noexcept:
    cdef Board *board = &seat.board
    cdef int64_t *times = seat.trace_ns
    cdef double *trace = seat.trace
    cdef int i
    if board.good % board.stride:
        return
    if board.points == lane.trace_points:
        board.points = (board.points + 1) // 2
        for i in range(board.points):
            times[i], trace[i] = times[2 * i], trace[2 * i]
        board.stride *= 2
        if board.good % board.stride:
            return
    times[board.points] = board.good_ns - board.entered_ns
    trace[board.points] = board.celsius
    board.points += 1


cdef void carry(const Lane *lane, Seat *seat, Belt *belt, int64_t t, double limit,
                const double *values, const uint8_t *quality) noexcept:
    """Move one board to a good row, not beyond `limit`, and count what the row did to it."""
    cdef Board *board = &seat.board
    cdef int64_t dt_ns = t - board.good_ns
    cdef double before = board.speed if board.good else belt.speed
    cdef double place = board.place, m0 = board.place - board.length / 2, m1
    cdef int i, column
    if not board.held:
        place += (before + belt.speed) / 2 * dt_ns * 1e-9
        board.standing = place > limit
        if board.standing:
            place = max(board.place, limit)
    m1 = place - board.length / 2
    warm(lane, board, belt, dt_ns, m0, m1)
    pass_zones(lane, seat, t, m0, m1, values, quality)
    for i in range(lane.stay_n):
        column = lane.columns[lane.columns_n + i]
        if usable(values, quality, column):
            count_in(&seat.tallies[i], values[column])
    board.place = place
    board.longest_ns = max(board.longest_ns, dt_ns)
    board.good_ns, board.speed = t, belt.speed
    write_trace(lane, seat)
    board.good += 1


cdef inline void step(const Lane *lane, Seat *seat, Belt *belt, int64_t t, bint good, double limit,
                      const double *values, const uint8_t *quality) noexcept:
    """One row for one board, once: the same whether it happens now or is replayed."""
    if t > seat.board.last_ns:
        seat.board.last_ns = t
        if good and t >= seat.board.good_ns:
            carry(lane, seat, belt, t, limit, values, quality)


cdef inline double way_left(const Board *board, double limit) noexcept:
    """How far the board behind this one may go."""
    return board.place - board.length if board.standing else limit


cdef void admit(const Lane *lane, Seat *seat, int64_t t_ns, double length_mm) noexcept:
    """A board whose leading edge is at the inlet now."""
    clear(lane, seat)
    seat.board.used = 1
    seat.board.entered_ns = seat.board.good_ns = t_ns
    seat.board.place, seat.board.length, seat.board.speed = lane.inlet, length_mm, NAN
    seat.board.celsius = lane.ambient if lane.heated_n else NAN
    seat.board.zone = first_zone(lane, lane.inlet - length_mm / 2)


cdef void displace(const Lane *lane, Seat *seat, double mm) noexcept:
    """Put a board elsewhere; a zone that it is no longer in was left at its last good row."""
    cdef Board *board = &seat.board
    cdef double middle = mm - board.length / 2
    cdef int zone = first_zone(lane, middle)
    cdef Passage *passage = &seat.passages[board.zone]
    if board.zone < lane.zones_n and passage.last_ns != NEVER and (
            zone != board.zone or middle < lane.zones[zone].start):
        passage.left_ns = board.good_ns
        passage.longest_ns = max(passage.longest_ns, board.good_ns - passage.last_ns)
        passage.last_ns = NEVER
    board.place, board.zone = mm, zone
