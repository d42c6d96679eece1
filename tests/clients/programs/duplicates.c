/* Threads make and close duplicates of one descriptor while others use it, and sit on its lock. */
#include "bus.h"

static int fd;
static atomic_int stop, wrong;

static void *use(void *seed)
{
    while (!stop)
        if (!are_right(fd, (int)(long)seed, 5))
            wrong++;
    return NULL;
}

static void *duplicate(void *seed)
{
    int place = 200 + 10 * (int)(long)seed;
    for (int i = 0; i < 60; i++) {
        int copies[] = {dup(fd), dup2(fd, place), fcntl(fd, F_DUPFD, place + 1), fcntl(fd, F_DUPFD_CLOEXEC, place + 2)};
        for (unsigned k = 0; k < sizeof copies / sizeof *copies; k++) {
            if (!is_right(copies[k], i, 9))
                wrong++;
            close(copies[k]);
        }
    }
    return NULL;
}

int main(void)
{
    enum { THREADS = 3 };
    pthread_t users[THREADS], makers[THREADS];
    fd = open("/dev/i2c-1", O_RDWR);
    for (long i = 0; i < THREADS; i++) {
        pthread_create(&users[i], NULL, use, (void *)i);
        pthread_create(&makers[i], NULL, duplicate, (void *)i);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(makers[i], NULL);
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(users[i], NULL);
    printf("%d\n", wrong);
    return 0;
}
