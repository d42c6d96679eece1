/*
 * shim.h: what the files of the preloaded library share.
 *
 * Loaded with LD_PRELOAD, the library shows an unmodified program the emulator that CMIS_EMU_SOCKET names:
 *
 *   setup.c    settings, the functions of the C library behind us, the constructor
 *   table.c    which descriptors are ours, locks, fork
 *   stream.c   requests to the emulator and the streams they go over
 *   i2cdev.c   ioctl, read and write of an open /dev/i2c-N
 *   nodes.c    the device files: names, opening, stat
 *   calls.c    replaced: functions on descriptors
 *   stat.c     replaced: stat, access and their kin
 *   overlay.c  sysfs of the emulated adapters: which paths lead into the emulator's tree; replaced: functions on paths
 *   listing.c  replaced: functions that list directories
 *   netlink.c  ethtool's requests about an emulated interface; replaced: functions that send and receive
 *   standin.c  generic netlink where the kernel has none; replaced: functions that make and name sockets
 *   ethtool.c  ethtool's ioctl
 *
 * Every path, descriptor and message that is not the emulator's goes straight to the C library, and without
 * CMIS_EMU_SOCKET so does everything.
 *
 * The wire (wire.py holds the same facts for Python): little-endian, packed, one request at a time.
 *   request    u32 payload length, u16 op, u16 bus      reply  u32 payload length, i32 status (negative: -errno)
 *   OPEN    1  u32 version, u32 pid                     ->     u64 functionality; -ENOENT: no such bus
 *   RDWR    2  u16 n, u16 0, n x {u16 addr, flags, len, 0}, data of the writes   ->  status messages done, data read
 *   SMBUS   3  u16 addr, u8 read, u8 command, u32 size, u16 client flags, u16 0, data[34]   ->  data[34]
 *   NETLINK 5  u16 id of the kernel's family "ethtool" (0: none), u16 flags (netlink.c), one netlink message
 *                                                       ->  status 0: the kernel's business, else 1 + datagrams,
 *                                                           each u32 length, netlink messages
 *   ETHTOOL 6  char name[16], the first bytes of an ethtool command
 *                                                       ->  status 0, the command as it stands then;
 *                                                           -ENODEV: no such interface
 *
 * Limits: LP64 Linux with glibc is what was tested; static programs, set-uid programs and runtimes that make their
 * own system calls (Go) never come through here; fopen() of a device file, posix_spawn file actions that open one,
 * nftw(), fts of the C library, a bare getdents64(), recvmmsg() and sendmmsg() are not replaced.
 */

#ifndef CMIS_EMU_SHIM_H
#define CMIS_EMU_SHIM_H

/* The fortified headers define open() and read() inline; this library defines them for real. */
#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS
#define _GNU_SOURCE

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Nothing is visible to the program but the functions that this library replaces. */
#define REPLACES __attribute__((visibility("default")))

/* ---------------------------------------------------------------- the C library behind us (setup.c) */

/* Every function that is replaced. The *xstat names are what programs built before glibc 2.33 call. */
#define REPLACED(X)                                                                                              \
    X(open) X(open64) X(openat) X(openat64) X(__open_2) X(__open64_2) X(__openat_2) X(__openat64_2)               \
    X(close) X(dup) X(dup2) X(dup3) X(fcntl) X(fcntl64) X(ioctl)                                                  \
    X(read) X(__read_chk) X(write) X(readv) X(writev)                                                             \
    X(stat) X(stat64) X(lstat) X(lstat64) X(fstat) X(fstat64) X(fstatat) X(fstatat64) X(statx)                    \
    X(__xstat) X(__xstat64) X(__lxstat) X(__lxstat64) X(__fxstat) X(__fxstat64) X(__fxstatat) X(__fxstatat64)     \
    X(access) X(faccessat) X(euidaccess) X(eaccess)                                                               \
    X(fopen) X(fopen64) X(readlink) X(readlinkat) X(__readlink_chk) X(__readlinkat_chk)                           \
    X(realpath) X(__realpath_chk) X(canonicalize_file_name) X(chdir) X(getcwd) X(__getcwd_chk)                    \
    X(getxattr) X(lgetxattr) X(listxattr) X(llistxattr)                                                           \
    X(opendir) X(fdopendir) X(readdir) X(readdir64) X(readdir_r) X(readdir64_r) X(closedir)                       \
    X(rewinddir) X(seekdir) X(telldir) X(glob) X(glob64)                                                          \
    X(socket) X(bind) X(connect) X(getsockname) X(getpeername) X(setsockopt) X(getsockopt)                        \
    X(send) X(sendto) X(sendmsg) X(recv) X(recvfrom) X(recvmsg) X(__recv_chk) X(__recvfrom_chk)

#define AS_INDEX(name) NEXT_##name,
enum next { REPLACED(AS_INDEX) NEXT_COUNT };

/* Headers need not declare these. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int directory, const char *path, int flags);
int __openat64_2(int directory, const char *path, int flags);
ssize_t __read_chk(int fd, void *buffer, size_t count, size_t room);
ssize_t __recv_chk(int fd, void *buffer, size_t count, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buffer, size_t count, size_t room, int flags, struct sockaddr *from,
                       socklen_t *from_length);
ssize_t __readlink_chk(const char *path, char *buffer, size_t count, size_t room);
ssize_t __readlinkat_chk(int directory, const char *path, char *buffer, size_t count, size_t room);
char *__realpath_chk(const char *path, char *resolved, size_t room);
char *__getcwd_chk(char *buffer, size_t size, size_t room);
int fcntl64(int fd, int command, ...);
int __xstat(int version, const char *path, struct stat *out);
int __xstat64(int version, const char *path, struct stat64 *out);
int __lxstat(int version, const char *path, struct stat *out);
int __lxstat64(int version, const char *path, struct stat64 *out);
int __fxstat(int version, int fd, struct stat *out);
int __fxstat64(int version, int fd, struct stat64 *out);
int __fxstatat(int version, int directory, const char *path, struct stat *out, int flags);
int __fxstatat64(int version, int directory, const char *path, struct stat64 *out, int flags);

void *next_address(enum next which);

#define NEXT(name) ((__typeof__(&name))next_address(NEXT_##name))

/* ---------------------------------------------------------------- settings (setup.c) */

enum { TIMEOUT_MS_DEFAULT = 10000 };

extern char server_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
extern char tree_path[sizeof server_path + 8]; /* "": the emulator shows no sysfs */
extern bool enabled;                           /* CMIS_EMU_SOCKET is set */
extern bool path_too_long;
extern bool has_interfaces; /* the emulator answers ethtool */
extern long timeout_ms;
extern struct timespec loaded_at; /* the timestamps of the device files */

void start(void);
int64_t now_ms(void);

static inline int error(int number)
{
    errno = number;
    return -1;
}

/* From the kernel's way of telling errors (-errno) to the C library's. */
static inline long outcome(long result)
{
    return result < 0 ? error((int)-result) : result;
}

/* NULL and its neighbours: the bad pointers that programs really pass. The kernel finds the others. */
static inline bool is_bad_pointer(const void *pointer)
{
    uintptr_t value = (uintptr_t)pointer;
    __asm__("" : "+r"(value)); /* the headers promise non-NULL arguments; do not let the compiler believe it */
    return value < 4096 || value > UINTPTR_MAX - 4096;
}

/* ---------------------------------------------------------------- descriptors (table.c) */

enum { CHUNK = 1024, CHUNKS = 1024 };

enum state {
    LIVE,
    STALE, /* the stream is out of step through no fault of the server: make a new one on the next use */
    DEAD,  /* the server is gone or broke the protocol: ENODEV until the program closes the descriptor */
};

/* What the kernel calls an open file; the table maps descriptor numbers to these, and duplicates share one. */
struct connection {
    pthread_mutex_t lock;
    enum state state;
    _Atomic(ino_t) inode;    /* of the socket; what makes a descriptor ours */
    _Atomic(uint32_t) bus;
    atomic_bool abandoned;   /* closed by a signal handler inside a transfer */
    pid_t process;           /* the owner of the stream */
    unsigned generation;     /* and how many forks came before it (process numbers repeat across namespaces) */
    uint16_t address;        /* I2C_SLAVE; 0 until set, as in the kernel */
    uint16_t flags;          /* I2C_M_TEN, I2C_CLIENT_PEC */
    int access;              /* O_RDONLY, O_WRONLY, O_RDWR */
    int cancel_state;        /* of the thread that holds the lock */
    uint64_t functionality;
    unsigned references;     /* table slots that point here; under the table's lock */
    struct connection *next_free, *next_all;
};

extern pthread_mutex_t table_lock;
extern atomic_uint fork_generation;

void set_up_table(void);
bool is_guest(void);
void make_lock(pthread_mutex_t *lock);
struct connection *hint(int fd);
int begin_making(void);
void end_making(int cancel_state);
bool is_in_the_making(int fd);
ino_t socket_inode(int fd);
bool is_socket_of(const struct connection *connection, int fd);
void forget(int fd, struct connection *expected);
bool remember(int fd, struct connection *connection);
struct connection *take_connection(void);
void give_back(struct connection *connection);
bool lock(struct connection *connection);
void unlock(struct connection *connection);
struct connection *acquire(int fd, bool *busy);
struct connection *detach(int fd);
int bus_of_descriptor(int fd);
struct connection *connection_of_inode(ino_t inode);
void for_each_descriptor(const struct connection *connection, void (*visit)(int fd, int with), int with);
int next_fstat(int fd, struct stat *out); /* stat.c */
int next_lstat(const char *path, struct stat *out);

/* ---------------------------------------------------------------- the wire (stream.c) */

enum { OP_OPEN = 1, OP_RDWR = 2, OP_SMBUS = 3, OP_NETLINK = 5, OP_ETHTOOL = 6, PROTOCOL_VERSION = 1 };

enum {
    MESSAGES_MAX = 42,  /* in one I2C_RDWR */
    LENGTH_MAX = 8192,  /* of one message */
    BLOCK_MAX = 32,
    SMBUS_DATA = 34,    /* union i2c_smbus_data: count, 32 bytes, PEC */
};

struct exchange {
    int fd;
    uint16_t op, bus;
    const atomic_bool *abandoned; /* may be NULL */
    struct iovec out[MESSAGES_MAX + 3]; /* out[0] and in[0] are for the headers */
    struct iovec in[MESSAGES_MAX + 1];
    int outs, ins;
    uint32_t received; /* bytes of payload in the reply */
    enum state after;  /* what the stream is good for afterwards */
};

void give(struct exchange *exchange, const void *data, size_t length);
void expect(struct exchange *exchange, void *data, size_t length);
int dial(unsigned bus, bool close_on_exec, uint64_t *functionality);
int named_bus(int fd);
void complain(void);
int transact(struct connection *connection, struct exchange *exchange);
int distrust(struct connection *connection);
int ask(struct exchange *exchange);

/* ---------------------------------------------------------------- device files (i2cdev.c, nodes.c) */

enum { I2C_MAJOR = 89, NODE_MODE = 0660, NODE_INODE = 0x12c0000 };
enum { NOT_OURS = INT_MIN };

enum {
    I2C_RETRIES = 0x0701,
    I2C_TIMEOUT = 0x0702,
    I2C_SLAVE = 0x0703,
    I2C_TENBIT = 0x0704,
    I2C_FUNCS = 0x0705,
    I2C_SLAVE_FORCE = 0x0706,
    I2C_RDWR = 0x0707,
    I2C_PEC = 0x0708,
    I2C_SMBUS = 0x0720,
};

int do_ioctl(struct connection *connection, int fd, uint32_t request, unsigned long argument);
long do_plain(struct connection *connection, int fd, void *data, size_t count, bool read);
int existing_bus(int directory, const char *path);
int open_path(int directory, const char *path, int flags);
void adopt_inherited(void);

/* ---------------------------------------------------------------- sysfs (overlay.c) */

const char *absolute(int directory, const char *path, char room[PATH_MAX]);
bool is_below(const char *path, const char *folder);

/* Where a path leads to: itself, or a place in the emulator's tree, written to `room`. Keeps errno. */
const char *overlaid(int directory, const char *path, char room[PATH_MAX]);

/* ---------------------------------------------------------------- ethtool (netlink.c, standin.c, ethtool.c) */

/* What a stand-in for a netlink socket knows of itself. */
struct standin {
    ino_t inode;
    uint32_t port;
    bool extended, capped; /* NETLINK_EXT_ACK, NETLINK_CAP_ACK */
};

bool standin_of(int fd, struct standin *found);
ssize_t netlink_received(void *buffer, size_t room, ssize_t got, int flags);
bool ethtool_ioctl(int fd, void *argument, int *result);

#endif
