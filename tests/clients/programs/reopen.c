/* One thread closes and opens the same number while others use it: they find the bus or EBADF, never another file. */
#include "bus.h"

static int fd;
static atomic_int stop, strange, served, data_wrong;

static void *work(void *seed)
{
    unsigned char got[16];
    for (int i = (int)(long)seed; !stop; i++) {
        int offset = i % 200;
        if (read_at(fd, offset, got, 8) != 0) {
            if (errno != EBADF && errno != ENODEV)
                strange++;
            continue;
        }
        served++;
        for (int k = 0; k < 8; k++)
            data_wrong += got[k] != (unsigned char)(offset + k);
    }
    return NULL;
}

int main(void)
{
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    fd = open("/dev/i2c-1", O_RDWR);
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *)(50 * i));
    for (int round = 0; round < 120; round++) {
        close(fd);
        if (open("/dev/i2c-1", O_RDWR) != fd)
            strange += 1000;
        struct timespec pause = {0, 300000};
        nanosleep(&pause, NULL);
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%d %d %d\n", strange, data_wrong, served > 0);
    return 0;
}
