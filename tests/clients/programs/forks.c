/* Threads use the bus while one of them forks, again and again; parent and children all read, at once. */
#include "bus.h"

static int fd;
static atomic_int stop, wrong;

static void *work(void *seed)
{
    while (!stop)
        if (!are_right(fd, (int)(long)seed, 5))
            wrong++;
    return NULL;
}

int main(void)
{
    enum { THREADS = 3, ROUNDS = 12, CHILDREN = 3 };
    pthread_t threads[THREADS];
    int bad = 0;
    fd = open("/dev/i2c-1", O_RDWR);
    int copy = dup(fd);
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    for (int round = 0; round < ROUNDS; round++) {
        pid_t children[CHILDREN];
        for (int i = 0; i < CHILDREN; i++)
            if ((children[i] = fork()) == 0)
                _exit(are_right(i % 2 ? fd : copy, round + i, 20) ? 0 : 1);
        for (int i = 0; i < CHILDREN; i++) {
            int status;
            waitpid(children[i], &status, 0);
            bad += status != 0;
        }
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%d %d\n", wrong, bad);
    return 0;
}
