# cython: language_level=3
"""What the kernel and the C library are asked for; not Python because that would load ctypes, 400 KB, for a few calls, and
take twice as long for many sends."""

from libc.stdlib cimport free, malloc

cdef extern from *:
    """
    #include <sys/types.h>
    #include <sys/socket.h>
    static void edge_send(int *sent, Py_ssize_t count, const char *data, Py_ssize_t size) {
        for (Py_ssize_t i = 0; i < count; i++) {
            ssize_t taken = send(sent[i], data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
            sent[i] = taken < 0 ? 0 : taken;
        }
    }
    #if defined(__linux__)
    #include <signal.h>
    #include <sys/prctl.h>
    #include <sys/timex.h>
    static int edge_clock_state(void) { struct timex asked = {0}; return adjtimex(&asked); }
    static void edge_end_with_parent(void) { prctl(PR_SET_PDEATHSIG, SIGKILL); }
    #else
    static int edge_clock_state(void) { return -1; }
    static void edge_end_with_parent(void) {}
    #endif
    #if defined(__GLIBC__)
    #include <malloc.h>
    static void edge_give_back(void) { malloc_trim(0); }
    #else
    static void edge_give_back(void) {}
    #endif
    """
    void edge_send(int *sent, Py_ssize_t count, const char *data, Py_ssize_t size) nogil
    int edge_clock_state()
    void edge_end_with_parent()
    void edge_give_back()


def clock_state() -> int:
    """Ask adjtimex(2) how the clock stands, changing nothing; -1 where it may not be asked."""
    return edge_clock_state()


def end_with_parent() -> None:
    """Let the kernel kill this process when the thread that started it ends, whatever this one is at; Linux alone."""
    edge_end_with_parent()


def give_back() -> None:
    """Give the memory that was freed back to the system; from any thread."""
    edge_give_back()


def send_to_all(list descriptors, bytes message) -> list:
    """Send a message of less than 2 GiB to many sockets without waiting; other threads run meanwhile.

    Returns:
        Index of each socket that did not take all of it, and the bytes that it took: 0 also where it is broken.
    """
    cdef Py_ssize_t count = len(descriptors), size = len(message), i
    cdef const char *data = message
    cdef int *sent = <int *> malloc(max(count, 1) * sizeof(int))
    if sent is NULL:
        raise MemoryError
    try:
        for i in range(count):
            sent[i] = descriptors[i]
        with nogil:
            edge_send(sent, count, data, size)
        return [(i, sent[i]) for i in range(count) if sent[i] < size]
    finally:
        free(sent)
