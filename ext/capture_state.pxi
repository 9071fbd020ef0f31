# A board as people read it, and as bytes that outlive the process.

BoardFigures = namedtuple("BoardFigures", ("entered_ns", "last_ns", "place_mm", "length_mm", "expected", "good",
                                           "longest_gap_s", "estimate", "stay", "zones"))
ZoneFigures = namedtuple("ZoneFigures", ("entered_ns", "seconds", "rows", "longest_gap_s", "columns"))

HEADER = struct.Struct("<BHHHHII")
"""Of a dumped board: version, zones, columns, stay, heated zones, bytes that follow, their CRC-32."""
VERSION = 1


cdef inline int64_t told(int64_t time) noexcept nogil:
    return -1 if time == NEVER else time


cdef inline double gap(const Lane *lane, int64_t ns) noexcept nogil:
    return ns * 1e-9 if 2 * ns > 3 * lane.period_ns else 0.0


cdef tuple means(Tally tally):
    """Count, mean, minimum and maximum."""
    if not tally.count:
        return 0, NAN, NAN, NAN
    return tally.count, tally.total / tally.count, tally.low, tally.high


cdef object zone_figures(const Lane *lane, const Seat *seat, int i):
    cdef const Passage *passage = &seat.passages[i]
    cdef const Tally *tallies = seat.tallies + lane.stay_n + lane.zones[i].first
    seconds = NAN if passage.left_ns == NEVER else (passage.left_ns - passage.entered_ns) * 1e-9
    columns = tuple([(*means(tallies[j]), tallies[j].at_centre) for j in range(lane.zones[i].columns)])
    return ZoneFigures(told(passage.entered_ns), seconds, passage.rows, gap(lane, passage.longest_ns), columns)


cdef object board_figures(const Lane *lane, const Seat *seat):
    cdef const Board *board = &seat.board
    cdef int64_t last_ns = max(board.last_ns, board.entered_ns)
    cdef int64_t beats = (last_ns - board.entered_ns + lane.period_ns // 2) // lane.period_ns + 1
    stay = tuple([means(seat.tallies[i]) for i in range(lane.stay_n)])
    zones = tuple([zone_figures(lane, seat, i) for i in range(lane.zones_n)])
    return BoardFigures(board.entered_ns, last_ns, board.place, board.length, max(beats, board.good), board.good,
                        gap(lane, max(board.longest_ns, last_ns - board.good_ns)), board.celsius, stay, zones)


cdef tuple layout_of(const Lane *lane):
    return VERSION, lane.zones_n, lane.columns_n, lane.stay_n, lane.heated_n


cdef Py_ssize_t size_of(const Lane *lane) noexcept:
    return (sizeof(Board) + lane.zones_n * sizeof(Passage) + lane.tallies_n * sizeof(Tally)
            + lane.heated_n * (sizeof(double) + sizeof(int64_t)))


cdef bytes packed(const Lane *lane, const Seat *seat, const Belt *belt):
    """A board and the air of the belt's last row as bytes, with layout and checksum before them."""
    body = ((<const char *>&seat.board)[:sizeof(Board)]
            + (<const char *>seat.passages)[:lane.zones_n * sizeof(Passage)]
            + (<const char *>seat.tallies)[:lane.tallies_n * sizeof(Tally)]
            + (<const char *>belt.air)[:lane.heated_n * sizeof(double)]
            + (<const char *>belt.seen)[:lane.heated_n * sizeof(int64_t)])
    return HEADER.pack(*layout_of(lane), len(body), zlib.crc32(body)) + body


cdef bytes checked(const Lane *lane, bytes state):
    """The body of a packed board, undamaged and of this layout."""
    if len(state) < HEADER.size:
        raise ValueError(f"board state of {len(state)} bytes is cut off; a header alone has {HEADER.size}")
    *layout, length, checksum = HEADER.unpack_from(state)
    body = state[HEADER.size:]
    if tuple(layout) != layout_of(lane) or length != size_of(lane) or len(body) != length:
        raise ValueError(f"board state of layout {tuple(layout)} and {len(body)} bytes does not fit layout "
                         f"{layout_of(lane)} and {size_of(lane)} bytes; it was dumped with another map or version")
    if zlib.crc32(body) != checksum:
        raise ValueError("board state is damaged: its checksum does not fit")
    cdef Board board
    memcpy(&board, <const char *>body, sizeof(Board))
    if not (board.used == 1 and 0 <= board.zone <= lane.zones_n and board.stride >= 1 and board.good >= 0
            and board.entered_ns <= board.good_ns):
        raise ValueError("board state is damaged: its figures contradict one another")
    return body


cdef inline const char *taken(void *target, const char *source, size_t size) noexcept:
    memcpy(target, source, size)
    return source + size


cdef void unpack(const Lane *lane, Seat *seat, Belt *belt, bytes body, int64_t shift_ns) noexcept:
    """A board out of a checked body; the air too, unless belt is NULL because it knows better."""
    cdef const char *at = body
    cdef int i
    at = taken(&seat.board, at, sizeof(Board))
    at = taken(seat.passages, at, lane.zones_n * sizeof(Passage))
    at = taken(seat.tallies, at, lane.tallies_n * sizeof(Tally))
    seat.board.segment = 0
    shift_board(lane, seat, shift_ns)
    if belt != NULL:
        at = taken(belt.air, at, lane.heated_n * sizeof(double))
        taken(belt.seen, at, lane.heated_n * sizeof(int64_t))
        for i in range(lane.heated_n):
            shift(&belt.seen[i], shift_ns)


cdef inline void shift(int64_t *time, int64_t ns) noexcept nogil:
    if time[0] != NEVER:
        time[0] += ns


cdef void shift_board(const Lane *lane, Seat *seat, int64_t ns) noexcept:
    """Move all times of a board to another clock."""
    cdef int i
    shift(&seat.board.entered_ns, ns)
    shift(&seat.board.good_ns, ns)
    shift(&seat.board.last_ns, ns)
    for i in range(lane.zones_n):
        shift(&seat.passages[i].entered_ns, ns)
        shift(&seat.passages[i].left_ns, ns)
        shift(&seat.passages[i].last_ns, ns)
