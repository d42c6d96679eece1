/* A vfork child uses the bus before it goes; the parent's descriptor must stay what it is. */
#include "bus.h"

int main(void)
{
    int fd = open("/dev/i2c-1", O_RDWR), bad = 0;
    for (int round = 0; round < 10; round++) {
        volatile int fine = 0;
        pid_t child = vfork();
        if (child == 0) {
            fine = are_right(fd, round, 3);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        bad += !fine || !are_right(fd, round, 3);
    }
    struct stat status;
    printf("%d %d\n", bad, fstat(fd, &status) == 0 && S_ISCHR(status.st_mode));
    return 0;
}
