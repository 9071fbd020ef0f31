/* The bare minimum in C: arguments are port, devices, period in s (0: as fast as it goes) and seconds. Every device has
   a connection and is asked for 100 holding registers, one after the other; each register becomes a scaled double.
   Prints reads, seconds of CPU, seconds and MB of memory as JSON. */
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double) at.tv_sec + (double) at.tv_nsec * 1e-9;
}

static double cpu(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double) (used.ru_utime.tv_sec + used.ru_stime.tv_sec)
        + (double) (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

int main(int argc, char **argv)
{
    enum { REGISTERS = 100, MOST = 1000 };
    static modbus_t *device[MOST];
    static double row[MOST][REGISTERS];
    uint16_t raw[REGISTERS];
    if (argc != 5)
        return 2;
    int devices = atoi(argv[2]);
    double period = atof(argv[3]), seconds = atof(argv[4]);
    for (int i = 0; i < devices; i++) {
        device[i] = modbus_new_tcp("127.0.0.1", atoi(argv[1]));
        if (device[i] == NULL || modbus_set_slave(device[i], 1) == -1 || modbus_connect(device[i]) == -1)
            return 1;
    }
    double start = now(), before = cpu();
    long reads = 0;
    for (long beat = 1; now() - start < seconds; beat++) {
        for (int i = 0; i < devices; i++, reads++) {
            if (modbus_read_registers(device[i], 0, REGISTERS, raw) != REGISTERS)
                return 1;
            for (int k = 0; k < REGISTERS; k++)
                row[i][k] = (int16_t) raw[k] * 0.1;
        }
        double wait = start + (double) beat * period - now();
        if (wait > 0) {
            struct timespec rest = { (time_t) wait, (long) ((wait - (double) (time_t) wait) * 1e9) };
            nanosleep(&rest, NULL);
        }
    }
    long pages = 0, resident = 0;
    FILE *memory = fopen("/proc/self/statm", "r");
    if (memory == NULL || fscanf(memory, "%ld %ld", &pages, &resident) != 2)
        return 1;
    fclose(memory);
    printf("{\"reads\": %ld, \"cpu_s\": %f, \"seconds\": %f, \"rss_mb\": %f}\n", reads, cpu() - before, now() - start,
           (double) resident * (double) sysconf(_SC_PAGESIZE) / 1048576);
    return row[0][0] < -1e9;
}
