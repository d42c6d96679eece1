/* In a child, the first use makes a new stream; meanwhile other threads ask what the descriptor is. */
#include "bus.h"

static int fd;
static atomic_int stop, strange;

static void *look(void *unused)
{
    struct stat status;
    (void)unused;
    while (!stop)
        if (fstat(fd, &status) != 0 || !S_ISCHR(status.st_mode))
            strange++;
    return NULL;
}

int main(void)
{
    int bad = 0;
    fd = open("/dev/i2c-1", O_RDWR);
    for (int i = 0; i < 30; i++)
        dup(fd); /* more numbers to change */
    for (int round = 0; round < 60; round++) {
        pid_t child = fork();
        if (child == 0) {
            pthread_t thread;
            pthread_create(&thread, NULL, look, NULL);
            int fine = are_right(fd, round, 2);
            stop = 1;
            pthread_join(thread, NULL);
            _exit(fine && strange == 0 ? 0 : 1);
        }
        int status;
        waitpid(child, &status, 0);
        bad += status != 0;
    }
    printf("%d\n", bad);
    return 0;
}
