/*
 * A host that sets the address and reads, again and again, and prints how long each took in ns.
 *
 *   bench_preload ioctl /dev/i2c-1 LENGTH COUNT                 one I2C_RDWR
 *   bench_preload socket PATH LENGTH COUNT HELLO REQUEST REPLY   the same bytes by hand: hex, hex, size of the reply
 */
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static unsigned char request[256], reply[8300];
static size_t request_size, reply_size;
static unsigned char address = 0x80;

static size_t from_hex(const char *text, unsigned char *into)
{
    size_t size = strlen(text) / 2;
    for (size_t i = 0; i < size; i++) {
        char two[3] = {text[2 * i], text[2 * i + 1], 0};
        into[i] = (unsigned char)strtoul(two, NULL, 16);
    }
    return size;
}

static void exchange(int fd, size_t expected)
{
    if (send(fd, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size)
        exit(1);
    for (size_t got = 0; got < expected;) {
        ssize_t more = recv(fd, reply, sizeof reply, 0);
        if (more <= 0)
            exit(1);
        got += (size_t)more;
    }
}

int main(int argc, char **argv)
{
    int by_socket = strcmp(argv[1], "socket") == 0, length = atoi(argv[3]), count = atoi(argv[4]), fd;
    if (by_socket) {
        struct sockaddr_un server = {.sun_family = AF_UNIX};
        strncpy(server.sun_path, argv[2], sizeof server.sun_path - 1);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (argc < 8 || connect(fd, (struct sockaddr *)&server, sizeof server) != 0)
            return 1;
        request_size = from_hex(argv[5], request);
        exchange(fd, 16);
        request_size = from_hex(argv[6], request);
        reply_size = strtoul(argv[7], NULL, 10);
    } else if ((fd = open(argv[2], O_RDWR)) < 0) {
        return 1;
    }
    struct i2c_msg messages[2] = {{0x50, 0, 1, &address}, {0x50, I2C_M_RD, (unsigned short)length, reply}};
    struct i2c_rdwr_ioctl_data transfer = {messages, 2};
    for (int i = 0; i < count; i++) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        if (by_socket)
            exchange(fd, reply_size);
        else if (ioctl(fd, I2C_RDWR, &transfer) != 2)
            return 1;
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("%ld\n", (end.tv_sec - start.tv_sec) * 1000000000L + end.tv_nsec - start.tv_nsec);
    }
    return 0;
}
