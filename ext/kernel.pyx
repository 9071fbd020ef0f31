# cython: language_level=3
"""What the kernel and the C library are asked for; not Python because that would load ctypes, 400 KB, for two calls."""

cdef extern from *:
    """
    #if defined(__linux__)
    #include <sys/timex.h>
    static int edge_clock_state(void) { struct timex asked = {0}; return adjtimex(&asked); }
    #else
    static int edge_clock_state(void) { return -1; }
    #endif
    #if defined(__GLIBC__)
    #include <malloc.h>
    static void edge_give_back(void) { malloc_trim(0); }
    #else
    static void edge_give_back(void) {}
    #endif
    """
    int edge_clock_state()
    void edge_give_back()


def clock_state() -> int:
    """Ask adjtimex(2) how the clock stands, changing nothing; -1 where it may not be asked."""
    return edge_clock_state()


def give_back() -> None:
    """Give the memory that was freed back to the system; from any thread."""
    edge_give_back()
