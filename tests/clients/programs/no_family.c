/* Preloaded behind the library: a kernel whose generic netlink knows no family "ethtool". It is asked for another. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

static const void *other(const void *data, size_t length, char *copy)
{
    if (length > 256)
        return data;
    memcpy(copy, data, length);
    char *name = memmem(copy, length, "ethtool", 8);
    if (name == NULL)
        return data;
    name[6] = 'x';
    return copy;
}

ssize_t send(int fd, const void *data, size_t length, int flags)
{
    ssize_t (*next)(int, const void *, size_t, int) =
        (ssize_t(*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send");
    char copy[256];
    return next(fd, other(data, length, copy), length, flags);
}

ssize_t sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t size)
{
    ssize_t (*next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) =
        (ssize_t(*)(int, const void *, size_t, int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "sendto");
    char copy[256];
    return next(fd, other(data, length, copy), length, flags, to, size);
}
