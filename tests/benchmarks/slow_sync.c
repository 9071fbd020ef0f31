/* Makes each fsync and fdatasync of a process longer by SYNC_NS nanoseconds, after the disk itself is done; for LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

static int longer(const char *name, int descriptor)
{
    int (*real)(int);
    struct timespec left;
    const char *given = getenv("SYNC_NS");
    long long more = given ? atoll(given) : 0;
    int result, why;

    *(void **)&real = dlsym(RTLD_NEXT, name);
    result = real(descriptor);
    why = errno;
    left.tv_sec = more / 1000000000;
    left.tv_nsec = more % 1000000000;
    while (more > 0 && nanosleep(&left, &left) && errno == EINTR)
        ;
    errno = why;
    return result;
}

int fsync(int descriptor) { return longer("fsync", descriptor); }

int fdatasync(int descriptor) { return longer("fdatasync", descriptor); }
