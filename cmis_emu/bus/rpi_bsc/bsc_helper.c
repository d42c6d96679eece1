/* The helper: maps the BSC slave of a Raspberry Pi 0 to 4, gets a core to itself, and polls until it is told to stop.
 *
 *     bsc_helper FD PERIPHERALS SDA SCL ADDRESS HZ CPU TRUST_BUSY
 *
 * FD: of the shared memory. PERIPHERALS: physical address of the peripherals, in hex. Prints "ready", or one line that
 * says what failed, and exits 1. It dies with its parent, and never leaves the slave enabled when it ends by itself.
 */
#define _GNU_SOURCE
#include "bsc_slave.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#ifndef BSC_MEMORY
#define BSC_MEMORY "/dev/mem" /* the tests give it a file */
#endif

enum { BSC_OFFSET = 0x214000, GPIO_OFFSET = 0x200000, WINDOW = 4096, ALT3 = 7, PRIORITY = 80 };

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static _Noreturn void fail(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    fflush(stdout);
    exit(1);
}

static uint32_t chip_read(void *chip, unsigned reg)
{
    return ((volatile uint32_t *)chip)[reg];
}

static void chip_write(void *chip, unsigned reg, uint32_t value)
{
    ((volatile uint32_t *)chip)[reg] = value;
}

static void *window(int memory, unsigned long at)
{
    void *found = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED, memory, (off_t)at);

    if (found == MAP_FAILED)
        fail(BSC_MEMORY ": peripherals");
    return found;
}

static void function(volatile uint32_t *gpio, unsigned pin, uint32_t mode)
{
    unsigned shift = pin % 10 * 3;

    gpio[pin / 10] = (gpio[pin / 10] & ~((uint32_t)7 << shift)) | mode << shift;
}

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int main(int count, char **words)
{
    static struct bsc_slave slave;
    struct sched_param urgent = {.sched_priority = PRIORITY};
    struct bsc_registers registers = {.read = chip_read, .write = chip_write};
    struct bsc_shared *shared;
    unsigned long peripherals;
    unsigned sda, scl;
    uint32_t *gpio;
    cpu_set_t cpus;
    int memory;

    if (count != 9) {
        fputs("found other arguments than cmis-emu gives\n", stdout);
        return 1;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGTERM, stop);
    signal(SIGINT, SIG_IGN); /* the emulator gets it too, and stops this one */
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(words[1]), 0);
    if (shared == MAP_FAILED)
        fail("shared memory");
    peripherals = strtoul(words[2], NULL, 16);
    sda = (unsigned)atoi(words[3]);
    scl = (unsigned)atoi(words[4]);
    memory = open(BSC_MEMORY, O_RDWR | O_SYNC | O_CLOEXEC);
    if (memory < 0)
        fail(BSC_MEMORY);
    registers.chip = window(memory, peripherals + BSC_OFFSET);
    gpio = window(memory, peripherals + GPIO_OFFSET);
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        fail("mlockall");
    CPU_ZERO(&cpus);
    CPU_SET((size_t)atoi(words[7]), &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) != 0)
        fail("sched_setaffinity");
    if (sched_setscheduler(0, SCHED_FIFO, &urgent) != 0)
        fail("sched_setscheduler");
    bsc_begin(&slave, shared, &registers, (unsigned)strtoul(words[5], NULL, 0), (unsigned)atoi(words[6]),
              atoi(words[8]));
    function(gpio, sda, ALT3);
    function(gpio, scl, ALT3);
    puts("ready");
    fflush(stdout);
    while (!stopped && !atomic_load_explicit(&shared->stop, memory_order_relaxed))
        bsc_poll(&slave, now());
    function(gpio, sda, 0); /* inputs */
    function(gpio, scl, 0);
    bsc_end(&slave);
    return 0;
}
