/* What the stress programs share: one combined transfer, and reads whose answer is known. */
#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int read_at(int fd, int offset, unsigned char *into, int length)
{
    unsigned char at = (unsigned char)offset;
    struct i2c_msg messages[2] = {{0x50, 0, 1, &at}, {0x50, I2C_M_RD, (unsigned short)length, into}};
    struct i2c_rdwr_ioctl_data transfer = {messages, 2};
    return ioctl(fd, I2C_RDWR, &transfer) == 2 ? 0 : -1;
}

/* True when the bytes from `offset` are the numbers from `offset`. */
static inline int is_right(int fd, int offset, int length)
{
    unsigned char got[64];
    memset(got, 0xee, sizeof got);
    if (read_at(fd, offset, got, length) != 0)
        return 0;
    for (int i = 0; i < length; i++)
        if (got[i] != (unsigned char)(offset + i))
            return 0;
    return 1;
}

/* `count` reads, each another one. */
static inline int are_right(int fd, int seed, int count)
{
    for (int i = 0; i < count; i++)
        if (!is_right(fd, (31 * seed + i) % 190, 1 + (7 * seed + i) % 40))
            return 0;
    return 1;
}
