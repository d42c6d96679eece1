/*
 * calls.c: the functions of the C library that make, use and end descriptors, replaced.
 */

#include "shim.h"

#include <linux/sockios.h>
#include <stdarg.h>
#include <sys/ioctl.h>

/* ---------------------------------------------------------------- replaced: open and its kin */

/* The mode argument is there only for these flags. */
#define HAS_MODE(flags) (((flags) & O_CREAT) != 0 || ((flags) & O_TMPFILE) == O_TMPFILE)

#define TAKE_MODE(mode, flags)                                                                                   \
    mode_t mode = 0;                                                                                             \
    if (HAS_MODE(flags)) {                                                                                       \
        va_list arguments;                                                                                       \
        va_start(arguments, flags);                                                                              \
        mode = va_arg(arguments, mode_t);                                                                        \
        va_end(arguments);                                                                                       \
    }

/* Answer for a device file; otherwise `next_call` opens `place`, where the path leads to. */
#define OPEN_OR(directory, path, flags, next_call)                                                               \
    do {                                                                                                         \
        char room[PATH_MAX];                                                                                     \
        start();                                                                                                 \
        int fd_or_error = open_path(directory, path, flags);                                                     \
        if (fd_or_error != NOT_OURS)                                                                             \
            return (int)outcome(fd_or_error);                                                                    \
        const char *place = overlaid(directory, path, room);                                                     \
        return (next_call);                                                                                      \
    } while (0)

REPLACES int open(const char *path, int flags, ...)
{
    TAKE_MODE(mode, flags)
    OPEN_OR(AT_FDCWD, path, flags, NEXT(open)(place, flags, mode));
}

REPLACES int open64(const char *path, int flags, ...)
{
    TAKE_MODE(mode, flags)
    OPEN_OR(AT_FDCWD, path, flags, NEXT(open64)(place, flags, mode));
}

REPLACES int openat(int directory, const char *path, int flags, ...)
{
    TAKE_MODE(mode, flags)
    OPEN_OR(directory, path, flags, NEXT(openat)(directory, place, flags, mode));
}

REPLACES int openat64(int directory, const char *path, int flags, ...)
{
    TAKE_MODE(mode, flags)
    OPEN_OR(directory, path, flags, NEXT(openat64)(directory, place, flags, mode));
}

/* The names that fortified programs call when they pass no mode. */
REPLACES int __open_2(const char *path, int flags)
{
    OPEN_OR(AT_FDCWD, path, flags, NEXT(__open_2)(place, flags));
}

REPLACES int __open64_2(const char *path, int flags)
{
    OPEN_OR(AT_FDCWD, path, flags, NEXT(__open64_2)(place, flags));
}

REPLACES int __openat_2(int directory, const char *path, int flags)
{
    OPEN_OR(directory, path, flags, NEXT(__openat_2)(directory, place, flags));
}

REPLACES int __openat64_2(int directory, const char *path, int flags)
{
    OPEN_OR(directory, path, flags, NEXT(__openat64_2)(directory, place, flags));
}

/* ---------------------------------------------------------------- replaced: close and duplicates */

REPLACES int close(int fd)
{
    if (is_in_the_making(fd))
        return error(EBADF);
    if (hint(fd) == NULL)
        return NEXT(close)(fd);
    int cancel_state = begin_making(); /* from here on it is as good as closed, for every thread */
    detach(fd);
    int result = NEXT(close)(fd);
    end_making(cancel_state);
    return result;
}

static bool is_guest_safe(int fd)
{
    return hint(fd) != NULL && !is_guest();
}

/* Run `call`, which makes a new descriptor out of `fd`, and remember the new one when the old one is ours. */
#define DUPLICATE(fd, call)                                                                                      \
    do {                                                                                                         \
        bool busy;                                                                                               \
        if (is_in_the_making(fd))                                                                                \
            return error(EBADF);                                                                                 \
        struct connection *connection = is_guest_safe(fd) ? acquire(fd, &busy) : NULL;                           \
        int duplicate = (call);                                                                                  \
        if (connection != NULL) {                                                                                \
            int saved = errno;                                                                                   \
            if (duplicate >= 0)                                                                                  \
                remember(duplicate, connection);                                                                 \
            unlock(connection);                                                                                  \
            errno = saved;                                                                                       \
        }                                                                                                        \
        return duplicate;                                                                                        \
    } while (0)

REPLACES int dup(int fd)
{
    DUPLICATE(fd, NEXT(dup)(fd));
}

/* dup2 and dup3 close their target. When they cannot work, the target must stay what it was. */
static bool closes_target(int fd, int target, int flags)
{
    return hint(target) != NULL && fd != target && (flags & ~O_CLOEXEC) == 0 && NEXT(fcntl)(fd, F_GETFD) >= 0;
}

REPLACES int dup2(int fd, int target)
{
    if (closes_target(fd, target, 0))
        detach(target);
    DUPLICATE(fd, NEXT(dup2)(fd, target));
}

REPLACES int dup3(int fd, int target, int flags)
{
    if (closes_target(fd, target, flags))
        detach(target);
    DUPLICATE(fd, NEXT(dup3)(fd, target, flags));
}

#define TAKE_POINTER(argument, last)                                                                             \
    void *argument;                                                                                              \
    {                                                                                                            \
        va_list arguments;                                                                                       \
        va_start(arguments, last);                                                                               \
        argument = va_arg(arguments, void *);                                                                    \
        va_end(arguments);                                                                                       \
    }

REPLACES int fcntl(int fd, int command, ...)
{
    TAKE_POINTER(argument, command)
    if (command != F_DUPFD && command != F_DUPFD_CLOEXEC)
        return NEXT(fcntl)(fd, command, argument);
    DUPLICATE(fd, NEXT(fcntl)(fd, command, argument));
}

/* Programs with 64-bit file offsets call this name from glibc 2.28 on. */
REPLACES int fcntl64(int fd, int command, ...)
{
    TAKE_POINTER(argument, command)
    if (command != F_DUPFD && command != F_DUPFD_CLOEXEC)
        return NEXT(fcntl64)(fd, command, argument);
    DUPLICATE(fd, NEXT(fcntl64)(fd, command, argument));
}

/* ---------------------------------------------------------------- replaced: ioctl, read, write */

/*
 * The C library had a descriptor that is no terminal, but asks what only i2c-dev understands: was it ours coming or
 * going? 1: try again, 0: it is not there, -1: it is what it is.
 */
static int was_ours(int fd, uint32_t number)
{
    if (!enabled || number < I2C_RETRIES || number > I2C_SMBUS)
        return -1;
    if (hint(fd) != NULL)
        return 1;
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    if (NEXT(getsockname)(fd, (struct sockaddr *)&name, &length) != 0)
        return errno == EBADF ? 0 : -1;
    return name.ss_family == AF_UNIX ? 0 : -1;
}

REPLACES int ioctl(int fd, unsigned long request, ...)
{
    TAKE_POINTER(argument, request)
    uint32_t number = (uint32_t)request; /* some programs sign-extend it */
    int answer;
    if (number == SIOCETHTOOL && ethtool_ioctl(fd, argument, &answer))
        return answer;
    for (int attempt = 0;; attempt++) {
        if (is_in_the_making(fd))
            return error(EBADF);
        struct connection *connection = NULL;
        bool busy = false;
        /* What the kernel does for every file, before the driver is asked. */
        if (hint(fd) != NULL && number != FIOCLEX && number != FIONCLEX && number != FIONBIO)
            connection = acquire(fd, &busy);
        if (busy)
            return error(EBUSY);
        if (connection != NULL) {
            int result = do_ioctl(connection, fd, number, (unsigned long)argument);
            unlock(connection);
            return (int)outcome(result);
        }
        answer = NEXT(ioctl)(fd, request, argument);
        if (answer >= 0 || errno != ENOTTY)
            return answer;
        int was = was_ours(fd, number);
        if (was <= 0 || attempt == 100)
            return was < 0 ? error(ENOTTY) : error(EBADF);
    }
}

/* `ours` on a descriptor of ours, with its connection locked; otherwise `next_call`. */
#define TRANSFER_OR(fd, ours, next_call)                                                                         \
    do {                                                                                                         \
        if (is_in_the_making(fd))                                                                                \
            return error(EBADF);                                                                                 \
        if (hint(fd) == NULL)                                                                                    \
            return (next_call);                                                                                  \
        bool busy;                                                                                               \
        struct connection *connection = acquire(fd, &busy);                                                      \
        if (connection == NULL)                                                                                  \
            return busy ? error(EBUSY) : (next_call);                                                            \
        long result = (ours);                                                                                    \
        unlock(connection);                                                                                      \
        return (ssize_t)outcome(result);                                                                         \
    } while (0)

REPLACES ssize_t read(int fd, void *buffer, size_t count)
{
    TRANSFER_OR(fd, do_plain(connection, fd, buffer, count, true),
                netlink_received(buffer, count, NEXT(read)(fd, buffer, count), 0));
}

/* read() in fortified programs; the C library ends the program when the buffer is too small. */
REPLACES ssize_t __read_chk(int fd, void *buffer, size_t count, size_t room)
{
    if (count > room)
        return NEXT(__read_chk)(fd, buffer, count, room);
    TRANSFER_OR(fd, do_plain(connection, fd, buffer, count, true),
                netlink_received(buffer, count, NEXT(__read_chk)(fd, buffer, count, room), 0));
}

REPLACES ssize_t write(int fd, const void *buffer, size_t count)
{
    TRANSFER_OR(fd, do_plain(connection, fd, (void *)(uintptr_t)buffer, count, false), NEXT(write)(fd, buffer, count));
}

/* i2c-dev has no vectored calls: the kernel makes one read or write of each part, as long as they are full. */
static ssize_t each_part(struct connection *connection, int fd, const struct iovec *parts, int count, bool is_read)
{
    ssize_t done = 0;
    if (count < 0 || count > IOV_MAX)
        return -EINVAL;
    if (count > 0 && is_bad_pointer(parts))
        return -EFAULT;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len == 0)
            continue;
        long result = do_plain(connection, fd, parts[i].iov_base, parts[i].iov_len, is_read);
        if (result < 0)
            return done > 0 ? done : result;
        done += result;
        if ((size_t)result < parts[i].iov_len)
            break;
    }
    return done;
}

REPLACES ssize_t readv(int fd, const struct iovec *parts, int count)
{
    TRANSFER_OR(fd, each_part(connection, fd, parts, count, true), NEXT(readv)(fd, parts, count));
}

REPLACES ssize_t writev(int fd, const struct iovec *parts, int count)
{
    TRANSFER_OR(fd, each_part(connection, fd, parts, count, false), NEXT(writev)(fd, parts, count));
}
