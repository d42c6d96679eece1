/*
 * stat.c: stat() and its kin, access() and its kin, replaced.
 */

#include "shim.h"

#include <sys/sysmacros.h>

/* ---------------------------------------------------------------- replaced: stat and access */

/* A path of ours, or "" with AT_EMPTY_PATH and a descriptor of ours; -1 otherwise. */
static int bus_at(int directory, const char *path, int flags)
{
    if ((flags & AT_EMPTY_PATH) && !is_bad_pointer(path) && path[0] == 0)
        return bus_of_descriptor(directory);
    start();
    return existing_bus(directory, path);
}

/* The device number and the owner are what matters; the owner is whoever asks, since the emulator is theirs. */
#define FILL(out, bus)                                                                                           \
    do {                                                                                                         \
        memset(out, 0, sizeof *(out));                                                                           \
        (out)->st_mode = S_IFCHR | NODE_MODE;                                                                    \
        (out)->st_ino = NODE_INODE + (unsigned)(bus);                                                            \
        (out)->st_nlink = 1;                                                                                     \
        (out)->st_uid = geteuid();                                                                               \
        (out)->st_gid = getegid();                                                                               \
        (out)->st_rdev = makedev(I2C_MAJOR, (unsigned)(bus));                                                    \
        (out)->st_blksize = 4096;                                                                                \
        (out)->st_atim = (out)->st_mtim = (out)->st_ctim = loaded_at;                                            \
    } while (0)

#define ANSWER(out, bus)                                                                                         \
    do {                                                                                                         \
        if (is_bad_pointer(out))                                                                                 \
            return error(EFAULT);                                                                                \
        FILL(out, bus);                                                                                          \
        return 0;                                                                                                \
    } while (0)

/* Answer for a device file; otherwise `next_call` asks for `place`, where the path leads to. */
#define PATH_OR(out, directory, path, flags, next_call)                                                          \
    do {                                                                                                         \
        char room[PATH_MAX];                                                                                     \
        int bus = bus_at(directory, path, flags);                                                                \
        if (bus >= 0)                                                                                            \
            ANSWER(out, bus);                                                                                    \
        const char *place = overlaid(directory, path, room);                                                     \
        return (next_call);                                                                                      \
    } while (0)

#define DESCRIPTOR_OR(out, fd, next_call)                                                                        \
    do {                                                                                                         \
        int bus = bus_of_descriptor(fd);                                                                         \
        if (bus < 0 && is_in_the_making(fd))                                                                     \
            return error(EBADF);                                                                                 \
        if (bus < 0)                                                                                             \
            return (next_call);                                                                                  \
        ANSWER(out, bus);                                                                                        \
    } while (0)

/* Before 2.33 glibc had only the versioned names, after it keeps them for old programs: use what is there. */
#ifdef _STAT_VER
#define STAT_VERSION _STAT_VER
#elif defined(__x86_64__)
#define STAT_VERSION 1
#else
#define STAT_VERSION 0
#endif

#define EITHER(name, arguments, other, other_arguments)                                                          \
    (next_address(NEXT_##name) != NULL    ? NEXT(name) arguments                                                 \
     : next_address(NEXT_##other) != NULL ? NEXT(other) other_arguments                                          \
                                          : error(ENOSYS))

int next_fstat(int fd, struct stat *out)
{
    return EITHER(fstat, (fd, out), __fxstat, (STAT_VERSION, fd, out));
}

int next_lstat(const char *path, struct stat *out)
{
    return EITHER(lstat, (path, out), __lxstat, (STAT_VERSION, path, out));
}

#define STAT_FAMILY(X, type)                                                                                     \
    REPLACES int stat##X(const char *path, type *out)                                                            \
    {                                                                                                            \
        PATH_OR(out, AT_FDCWD, path, 0, EITHER(stat##X, (place, out), __xstat##X, (STAT_VERSION, place, out)));  \
    }                                                                                                            \
    REPLACES int lstat##X(const char *path, type *out)                                                           \
    {                                                                                                            \
        PATH_OR(out, AT_FDCWD, path, 0, EITHER(lstat##X, (place, out), __lxstat##X, (STAT_VERSION, place, out)));\
    }                                                                                                            \
    REPLACES int fstat##X(int fd, type *out)                                                                     \
    {                                                                                                            \
        DESCRIPTOR_OR(out, fd, EITHER(fstat##X, (fd, out), __fxstat##X, (STAT_VERSION, fd, out)));               \
    }                                                                                                            \
    REPLACES int fstatat##X(int directory, const char *path, type *out, int flags)                               \
    {                                                                                                            \
        PATH_OR(out, directory, path, flags,                                                                     \
                EITHER(fstatat##X, (directory, place, out, flags), __fxstatat##X,                                \
                       (STAT_VERSION, directory, place, out, flags)));                                           \
    }                                                                                                            \
    REPLACES int __xstat##X(int version, const char *path, type *out)                                            \
    {                                                                                                            \
        PATH_OR(out, AT_FDCWD, path, 0, EITHER(__xstat##X, (version, place, out), stat##X, (place, out)));       \
    }                                                                                                            \
    REPLACES int __lxstat##X(int version, const char *path, type *out)                                           \
    {                                                                                                            \
        PATH_OR(out, AT_FDCWD, path, 0, EITHER(__lxstat##X, (version, place, out), lstat##X, (place, out)));     \
    }                                                                                                            \
    REPLACES int __fxstat##X(int version, int fd, type *out)                                                     \
    {                                                                                                            \
        DESCRIPTOR_OR(out, fd, EITHER(__fxstat##X, (version, fd, out), fstat##X, (fd, out)));                    \
    }                                                                                                            \
    REPLACES int __fxstatat##X(int version, int directory, const char *path, type *out, int flags)               \
    {                                                                                                            \
        PATH_OR(out, directory, path, flags,                                                                     \
                EITHER(__fxstatat##X, (version, directory, place, out, flags), fstatat##X,                       \
                       (directory, place, out, flags)));                                                         \
    }

STAT_FAMILY(, struct stat)
STAT_FAMILY(64, struct stat64)

REPLACES int statx(int directory, const char *path, int flags, unsigned mask, struct statx *out)
{
    char room[PATH_MAX];
    int bus = bus_at(directory, path, flags);
    if (bus < 0 && next_address(NEXT_statx) == NULL)
        return error(ENOSYS);
    if (bus < 0)
        return NEXT(statx)(directory, overlaid(directory, path, room), flags, mask, out);
    if (is_bad_pointer(out))
        return error(EFAULT);
    struct statx_timestamp time = {.tv_sec = loaded_at.tv_sec, .tv_nsec = (uint32_t)loaded_at.tv_nsec};
    memset(out, 0, sizeof *out);
    out->stx_mask = STATX_BASIC_STATS;
    out->stx_mode = S_IFCHR | NODE_MODE;
    out->stx_ino = NODE_INODE + (unsigned)bus;
    out->stx_nlink = 1;
    out->stx_uid = geteuid();
    out->stx_gid = getegid();
    out->stx_rdev_major = I2C_MAJOR;
    out->stx_rdev_minor = (uint32_t)bus;
    out->stx_blksize = 4096;
    out->stx_atime = out->stx_mtime = out->stx_ctime = time;
    return 0;
}

/* Mode 0660 and owned by whoever asks: all but execution. */
static int answer_access(int mode)
{
    if (mode & ~(R_OK | W_OK | X_OK))
        return error(EINVAL);
    return mode & X_OK ? error(EACCES) : 0;
}

#define ACCESS_OR(directory, path, mode, next_call)                                                              \
    do {                                                                                                         \
        char room[PATH_MAX];                                                                                     \
        start();                                                                                                 \
        if (existing_bus(directory, path) >= 0)                                                                  \
            return answer_access(mode);                                                                          \
        const char *place = overlaid(directory, path, room);                                                     \
        return (next_call);                                                                                      \
    } while (0)

REPLACES int access(const char *path, int mode)
{
    ACCESS_OR(AT_FDCWD, path, mode, NEXT(access)(place, mode));
}

REPLACES int faccessat(int directory, const char *path, int mode, int flags)
{
    ACCESS_OR(directory, path, mode, NEXT(faccessat)(directory, place, mode, flags));
}

REPLACES int euidaccess(const char *path, int mode)
{
    ACCESS_OR(AT_FDCWD, path, mode, NEXT(euidaccess)(place, mode));
}

REPLACES int eaccess(const char *path, int mode)
{
    ACCESS_OR(AT_FDCWD, path, mode, NEXT(eaccess)(place, mode));
}
