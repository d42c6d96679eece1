/*
 * nodes.c: the device files /dev/i2c-N and /dev/i2c/N: which paths name one, opening one, what stat() says of one.
 */

#include "shim.h"

/* ---------------------------------------------------------------- the device files */

/* The bus that a path names, or -1. */
static int bus_of_path(int directory, const char *given)
{
    char room[PATH_MAX];
    const char *path = enabled ? absolute(directory, given, room) : NULL;
    if (path == NULL || strncmp(path, "/dev/i2c", 8) != 0 || (path[8] != '-' && path[8] != '/'))
        return -1;
    const char *digits = path + 9;
    long bus = 0;
    if (digits[0] == 0 || (digits[0] == '0' && digits[1] != 0))
        return -1;
    for (; *digits != 0; digits++) {
        if (*digits < '0' || *digits > '9')
            return -1;
        bus = bus * 10 + (*digits - '0');
        if (bus > UINT16_MAX)
            return -1;
    }
    return (int)bus;
}

/* The bus that a path names when the emulator has it, or -1: for stat() and access(), which open nothing. */
int existing_bus(int directory, const char *path)
{
    uint64_t functionality;
    int saved = errno;
    int bus = bus_of_path(directory, path);
    if (bus < 0)
        return -1;
    int cancel_state = begin_making();
    int fd = dial((unsigned)bus, true, &functionality);
    if (fd >= 0)
        NEXT(close)(fd);
    end_making(cancel_state);
    errno = saved;
    return fd >= 0 ? bus : -1;
}

/* Give a new stream a connection and a place in the table: 0 or -errno. */
static int take_in(int fd, int bus, int flags, uint64_t functionality)
{
    if ((flags & O_CREAT) && (flags & O_EXCL))
        return -EEXIST;
    if (flags & O_DIRECTORY)
        return -ENOTDIR;
    struct connection *connection = take_connection();
    if (connection == NULL)
        return -ENOMEM;
    if (!lock(connection)) { /* a handler closed what its thread was using, and now opens */
        give_back(connection);
        return -EBUSY;
    }
    connection->state = LIVE;
    connection->process = getpid();
    connection->generation = atomic_load(&fork_generation);
    connection->address = connection->flags = 0;
    connection->access = flags & O_ACCMODE;
    connection->functionality = functionality;
    atomic_store(&connection->abandoned, false);
    atomic_store(&connection->bus, (uint32_t)bus);
    atomic_store(&connection->inode, socket_inode(fd));
    bool kept = remember(fd, connection);
    if (!kept)
        give_back(connection);
    unlock(connection);
    return kept ? 0 : -EMFILE;
}

/* Open by path: a descriptor, -errno, or NOT_OURS. */
int open_path(int directory, const char *path, int flags)
{
    int bus = bus_of_path(directory, path);
    if (bus < 0)
        return NOT_OURS;
    uint64_t functionality = 0;
    int cancel_state = begin_making();
    int fd = dial((unsigned)bus, (flags & O_CLOEXEC) != 0, &functionality);
    if (fd >= 0) {
        int problem = take_in(fd, bus, flags, functionality);
        if (problem != 0) {
            NEXT(close)(fd);
            fd = problem;
        }
    } else if (fd == -ENODEV || fd == -ETIMEDOUT) {
        complain();
    }
    end_making(cancel_state);
    return fd == -ENOENT ? NOT_OURS : fd;
}

/* One of our sockets, which this program was started with: use it, over a stream of its own from the first call on. */
static void adopt(int fd)
{
    int bus = named_bus(fd);
    if (bus < 0)
        return;
    struct connection *connection = connection_of_inode(socket_inode(fd));
    if (connection == NULL && (connection = take_connection()) != NULL) {
        connection->state = STALE;
        connection->access = O_RDWR;
        atomic_store(&connection->bus, (uint32_t)bus);
        atomic_store(&connection->inode, socket_inode(fd));
    }
    if (connection != NULL)
        remember(fd, connection);
}

/* The sockets that the program was started with (exec). */
void adopt_inherited(void)
{
    enum { WITHOUT_PROC = 64 };
    DIR *open_files = NEXT(opendir)("/proc/self/fd");
    if (open_files == NULL) {
        for (int fd = 0; fd < WITHOUT_PROC; fd++)
            adopt(fd);
        return;
    }
    struct dirent *entry;
    while ((entry = NEXT(readdir)(open_files)) != NULL)
        if (entry->d_name[0] != '.')
            adopt(atoi(entry->d_name));
    NEXT(closedir)(open_files);
}
