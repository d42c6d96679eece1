/*
 * i2c_preload.c: /dev/i2c-N for unmodified programs, without I2C in the kernel and without privileges.
 *
 * Loaded with LD_PRELOAD, this library answers for the device files /dev/i2c-N and /dev/i2c/N. Opening one
 * gives a connected Unix stream socket to the emulator named by CMIS_EMU_SOCKET; the ioctls, read() and
 * write() of Linux i2c-dev (Documentation/i2c/dev-interface.rst) become requests on it. Every other path and
 * descriptor goes straight to the C library, and without CMIS_EMU_SOCKET so does everything.
 *
 * The wire (wire.py holds the same facts for Python): little-endian, packed, one request at a time.
 *   request  u32 payload length, u16 op, u16 bus        reply  u32 payload length, i32 status (negative: -errno)
 *   OPEN  1  u32 version, u32 pid                       ->     u64 functionality; -ENOENT: no such bus
 *   RDWR  2  u16 n, u16 0, n x {u16 addr, flags, len, 0}, data of the writes   ->  status messages done, data read
 *   SMBUS 3  u16 addr, u8 read, u8 command, u32 size, u16 client flags, u16 0, data[34]   ->  data[34]
 *
 * How it is put together:
 *   - A `connection` is what the kernel calls an open file: slave address, flags, one socket, one lock. The
 *     table maps descriptor numbers to connections; duplicates share one.
 *   - The table is only a hint. A descriptor is ours when the table says so AND its inode is the socket's, so a
 *     number that was closed behind our back (fclose, close_range) and given to another file is never touched.
 *   - Connections and table chunks are never unmapped, so a lookup needs no lock: take the pointer, lock the
 *     connection, look again.
 *   - A stream has one owner. In another process than the one that made it (fork, or inherited over exec) the
 *     first use makes a new stream and puts it under the same descriptor numbers.
 *   - Nothing waits for ever: each request has one deadline (CMIS_EMU_TIMEOUT_MS, 10 s).
 *   - A signal handler that comes back into a connection its own thread holds gets EBUSY, not a deadlock (the
 *     locks check for errors). close() goes through even then.
 *
 * Lock order: connection, then table. Limits: LP64 Linux with glibc is what was tested; static programs,
 * set-uid programs and runtimes that make their own system calls (Go) never come through here; fopen(),
 * readv(), writev() and close_range() are not intercepted.
 */

/* The fortified headers define open() and read() inline; this file defines them for real. */
#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS
#define _GNU_SOURCE

#include <dlfcn.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---------------------------------------------------------------- the i2c-dev userspace ABI */

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

enum { /* message flags; TEN and PEC are client flags too */
    I2C_M_RD = 0x0001,
    I2C_CLIENT_PEC = 0x0004,
    I2C_M_TEN = 0x0010,
    I2C_M_RECV_LEN = 0x0400,
};

enum { /* sizes of an SMBus transaction */
    SMBUS_QUICK,
    SMBUS_BYTE,
    SMBUS_BYTE_DATA,
    SMBUS_WORD_DATA,
    SMBUS_PROC_CALL,
    SMBUS_BLOCK_DATA,
    SMBUS_I2C_BLOCK_BROKEN, /* reads always 32 bytes; kept by the kernel for old programs */
    SMBUS_BLOCK_PROC_CALL,
    SMBUS_I2C_BLOCK_DATA,
};

enum {
    I2C_MAJOR = 89,
    MESSAGES_MAX = 42,  /* in one I2C_RDWR */
    LENGTH_MAX = 8192,  /* of one message */
    BLOCK_MAX = 32,
    SMBUS_DATA = 34,    /* union i2c_smbus_data: count, 32 bytes, PEC */
};

struct message {
    uint16_t address;
    uint16_t flags;
    uint16_t length;
    uint8_t *data;
};

struct rdwr_argument {
    struct message *messages;
    uint32_t count;
};

struct smbus_argument {
    uint8_t read;
    uint8_t command;
    uint32_t size;
    uint8_t *data;
};

/* ---------------------------------------------------------------- the wire */

enum { OP_OPEN = 1, OP_RDWR = 2, OP_SMBUS = 3, PROTOCOL_VERSION = 1 };

struct __attribute__((packed)) request_header {
    uint32_t length;
    uint16_t op;
    uint16_t bus;
};

struct __attribute__((packed)) reply_header {
    uint32_t length;
    uint32_t status;
};

struct __attribute__((packed)) wire_message {
    uint16_t address;
    uint16_t flags;
    uint16_t length;
    uint16_t zero;
};

struct __attribute__((packed)) wire_rdwr {
    uint16_t count;
    uint16_t zero;
    struct wire_message messages[MESSAGES_MAX];
};

struct __attribute__((packed)) wire_smbus {
    uint16_t address;
    uint8_t read;
    uint8_t command;
    uint32_t size;
    uint16_t flags;
    uint16_t zero;
};

/* ---------------------------------------------------------------- the C library behind us */

/* Every function this file replaces. The *xstat names are what programs built before glibc 2.33 call. */
#define REPLACED(X)                                                                                              \
    X(open) X(open64) X(openat) X(openat64) X(__open_2) X(__open64_2) X(__openat_2) X(__openat64_2)               \
    X(close) X(dup) X(dup2) X(dup3) X(fcntl) X(fcntl64) X(ioctl) X(read) X(__read_chk) X(write)                   \
    X(stat) X(stat64) X(lstat) X(lstat64) X(fstat) X(fstat64) X(fstatat) X(fstatat64) X(statx)                    \
    X(__xstat) X(__xstat64) X(__lxstat) X(__lxstat64) X(__fxstat) X(__fxstat64) X(__fxstatat) X(__fxstatat64)     \
    X(access) X(faccessat)

#define AS_INDEX(name) NEXT_##name,
#define AS_TEXT(name) #name,
enum next { REPLACED(AS_INDEX) NEXT_COUNT };
static const char *const next_names[NEXT_COUNT] = {REPLACED(AS_TEXT)};
static _Atomic(void *) next_addresses[NEXT_COUNT];

/* Headers need not declare these. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int directory, const char *path, int flags);
int __openat64_2(int directory, const char *path, int flags);
ssize_t __read_chk(int fd, void *buffer, size_t count, size_t room);
int fcntl64(int fd, int command, ...);
int __xstat(int version, const char *path, struct stat *out);
int __xstat64(int version, const char *path, struct stat64 *out);
int __lxstat(int version, const char *path, struct stat *out);
int __lxstat64(int version, const char *path, struct stat64 *out);
int __fxstat(int version, int fd, struct stat *out);
int __fxstat64(int version, int fd, struct stat64 *out);
int __fxstatat(int version, int directory, const char *path, struct stat *out, int flags);
int __fxstatat64(int version, int directory, const char *path, struct stat64 *out, int flags);

/*
 * The next definition of a function, or NULL. The constructor asks for all of them, so that dlsym (which may
 * allocate and lock) never runs in a signal handler or between vfork and exec; before the constructor, on use.
 */
static void *next_address(enum next which)
{
    void *address = atomic_load_explicit(&next_addresses[which], memory_order_acquire);
    if (address == NULL) {
        address = dlsym(RTLD_NEXT, next_names[which]);
        atomic_store_explicit(&next_addresses[which], address, memory_order_release);
    }
    return address;
}

#define NEXT(name) ((__typeof__(&name))next_address(NEXT_##name))

/* ---------------------------------------------------------------- settings and process-wide state */

enum { CHUNK = 1024, CHUNKS = 1024, ADOPTED_MAX = 64, TIMEOUT_MS_DEFAULT = 10000 };

enum state {
    LIVE,
    STALE, /* the stream is out of step through no fault of the server: make a new one on the next use */
    DEAD,  /* the server is gone or broke the protocol: ENODEV until the program closes the descriptor */
};

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

typedef _Atomic(struct connection *) slot;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char server_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
static bool enabled; /* CMIS_EMU_SOCKET is set */
static bool path_too_long;
static long timeout_ms = TIMEOUT_MS_DEFAULT;
static struct timespec loaded_at; /* the timestamps of the device files */

static pthread_mutex_t table_lock;
static _Atomic(slot *) table[CHUNKS];
static struct connection *free_connections, *all_connections;
static bool fork_holds_table; /* set by the thread that forks, under the table's lock */

static _Atomic(pid_t) home_process; /* the process this memory belongs to */
static atomic_uint fork_generation;
static atomic_uint dialled; /* makes socket names unique */
static atomic_bool complained;

/* True in a vfork child (whose memory is its parent's) and after a raw clone(): leave the table alone. */
static bool is_guest(void)
{
    return getpid() != atomic_load_explicit(&home_process, memory_order_relaxed);
}

static int error(int number)
{
    errno = number;
    return -1;
}

/* From the kernel's way of telling errors (-errno) to the C library's. */
static long outcome(long result)
{
    return result < 0 ? error((int)-result) : result;
}

/* NULL and its neighbours: the bad pointers that programs really pass. The kernel finds the others. */
static bool is_bad_pointer(const void *pointer)
{
    uintptr_t value = (uintptr_t)pointer;
    __asm__("" : "+r"(value)); /* the headers promise non-NULL arguments; do not let the compiler believe it */
    return value < 4096 || value > UINTPTR_MAX - 4096;
}

static void make_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

/* Zeroed memory that is never given back. */
static void *permanent(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* ---------------------------------------------------------------- the table */

static slot *slot_of(int fd)
{
    if (fd < 0 || fd >= CHUNK * CHUNKS)
        return NULL;
    slot *chunk = atomic_load_explicit(&table[fd / CHUNK], memory_order_acquire);
    return chunk == NULL ? NULL : &chunk[fd % CHUNK];
}

/* What the table says of a descriptor: a hint. The fast path of every replaced function. */
static struct connection *hint(int fd)
{
    slot *place = slot_of(fd);
    return place == NULL ? NULL : atomic_load_explicit(place, memory_order_acquire);
}

static int next_fstat(int fd, struct stat *out);

static ino_t socket_inode(int fd)
{
    struct stat status;
    int saved = errno;
    ino_t inode = next_fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
    errno = saved;
    return inode;
}

static bool is_socket_of(const struct connection *connection, int fd)
{
    ino_t inode = atomic_load_explicit(&connection->inode, memory_order_relaxed);
    return inode != 0 && socket_inode(fd) == inode;
}

/* Point a slot elsewhere, counting. A connection that no slot points at can be used for another open. */
static void set_slot(slot *place, struct connection *connection)
{
    struct connection *old = atomic_load_explicit(place, memory_order_relaxed);
    if (old == connection)
        return;
    if (connection != NULL)
        connection->references++;
    atomic_store_explicit(place, connection, memory_order_release);
    if (old != NULL && --old->references == 0) {
        old->next_free = free_connections;
        free_connections = old;
    }
}

static void forget(int fd, struct connection *expected)
{
    slot *place = slot_of(fd);
    if (place == NULL || pthread_mutex_lock(&table_lock) != 0)
        return; /* in a signal handler inside the table: the inode check covers a slot left behind */
    if (atomic_load_explicit(place, memory_order_relaxed) == expected)
        set_slot(place, NULL);
    pthread_mutex_unlock(&table_lock);
}

static bool remember(int fd, struct connection *connection)
{
    if (fd < 0 || fd >= CHUNK * CHUNKS || pthread_mutex_lock(&table_lock) != 0)
        return false;
    if (atomic_load(&table[fd / CHUNK]) == NULL)
        atomic_store(&table[fd / CHUNK], permanent(CHUNK * sizeof(slot)));
    slot *place = slot_of(fd);
    if (place != NULL)
        set_slot(place, connection);
    pthread_mutex_unlock(&table_lock);
    return place != NULL;
}

/* A connection with no references, not locked; its old content is still there. */
static struct connection *take_connection(void)
{
    if (pthread_mutex_lock(&table_lock) != 0)
        return NULL;
    struct connection *connection = free_connections;
    if (connection != NULL) {
        free_connections = connection->next_free;
    } else {
        enum { BATCH = 16 };
        struct connection *batch = permanent(BATCH * sizeof *batch);
        for (int i = 0; batch != NULL && i < BATCH; i++) {
            make_lock(&batch[i].lock);
            batch[i].next_all = all_connections;
            all_connections = &batch[i];
            if (i > 0) {
                batch[i].next_free = free_connections;
                free_connections = &batch[i];
            }
        }
        connection = batch;
    }
    pthread_mutex_unlock(&table_lock);
    return connection;
}

static void give_back(struct connection *connection)
{
    if (pthread_mutex_lock(&table_lock) != 0)
        return;
    connection->next_free = free_connections;
    free_connections = connection;
    pthread_mutex_unlock(&table_lock);
}

/* Lock a connection. A cancelled thread must not leave it locked, so cancellation waits meanwhile. */
static bool lock(struct connection *connection)
{
    int cancel_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    if (pthread_mutex_lock(&connection->lock) != 0) {
        pthread_setcancelstate(cancel_state, NULL);
        return false; /* this very thread holds it: we are in a signal handler */
    }
    connection->cancel_state = cancel_state;
    return true;
}

static void unlock(struct connection *connection)
{
    int cancel_state = connection->cancel_state;
    pthread_mutex_unlock(&connection->lock);
    pthread_setcancelstate(cancel_state, NULL);
}

/*
 * The connection of a descriptor, locked; NULL when the descriptor is not ours, and then *busy tells whether it
 * is ours after all but held by the code this signal handler interrupted.
 */
static struct connection *acquire(int fd, bool *busy)
{
    *busy = false;
    struct connection *connection = hint(fd);
    if (connection == NULL)
        return NULL;
    if (!lock(connection)) {
        *busy = is_socket_of(connection, fd);
        return NULL;
    }
    if (hint(fd) == connection) {
        if (is_socket_of(connection, fd))
            return connection;
        if (!is_guest())
            forget(fd, connection);
    }
    unlock(connection);
    return NULL;
}

/* The bus of a descriptor, or -1. Takes no lock: fstat() does not wait for a transfer. */
static int bus_of_descriptor(int fd)
{
    struct connection *connection = hint(fd);
    if (connection == NULL || !is_socket_of(connection, fd))
        return -1;
    return (int)atomic_load_explicit(&connection->bus, memory_order_relaxed);
}

/* ---------------------------------------------------------------- fork */

static void before_fork(void)
{
    if (pthread_mutex_lock(&table_lock) == 0)
        fork_holds_table = true;
}

static void after_fork_in_parent(void)
{
    if (fork_holds_table) {
        fork_holds_table = false;
        pthread_mutex_unlock(&table_lock);
    }
}

/*
 * The child has one thread: locks that other threads of the parent held are made anew (and ours too, whose owner
 * has another number now). The streams stay the parent's; transact() sees that.
 */
static void after_fork_in_child(void)
{
    fork_holds_table = false;
    make_lock(&table_lock);
    for (struct connection *connection = all_connections; connection != NULL; connection = connection->next_all)
        make_lock(&connection->lock);
    atomic_store(&home_process, getpid());
    atomic_fetch_add(&fork_generation, 1);
}

/* ---------------------------------------------------------------- one exchange with the server */

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

static void give(struct exchange *exchange, const void *data, size_t length)
{
    if (length > 0)
        exchange->out[++exchange->outs] = (struct iovec){(void *)(uintptr_t)data, length};
}

static void expect(struct exchange *exchange, void *data, size_t length)
{
    if (length > 0)
        exchange->in[++exchange->ins] = (struct iovec){data, length};
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Step over `done` bytes of a vector. */
static void advance(struct msghdr *vector, size_t done)
{
    while (vector->msg_iovlen > 0 && done >= vector->msg_iov->iov_len) {
        done -= vector->msg_iov->iov_len;
        vector->msg_iov++;
        vector->msg_iovlen--;
    }
    if (vector->msg_iovlen > 0) {
        vector->msg_iov->iov_base = (char *)vector->msg_iov->iov_base + done;
        vector->msg_iov->iov_len -= done;
    }
}

/*
 * After a failed sendmsg or recvmsg: 0 to try again, or -errno with the fate of the stream. EAGAIN comes from
 * the socket's own timeout, or at once when the program made the descriptor non-blocking (which i2c-dev
 * ignores), so the deadline decides.
 */
static int failed(struct exchange *exchange, int number, short event, int64_t deadline)
{
    exchange->after = DEAD;
    if (number == EINTR || number == EAGAIN) {
        int64_t left = deadline - now_ms();
        if (exchange->abandoned != NULL && atomic_load(exchange->abandoned))
            return -ENODEV;
        if (left <= 0)
            return -ETIMEDOUT;
        if (number == EAGAIN)
            poll(&(struct pollfd){.fd = exchange->fd, .events = event}, 1, (int)left);
        return 0;
    }
    if (number == EFAULT || number == ENOMEM || number == ENOBUFS) {
        exchange->after = STALE; /* part of a request may be on its way */
        return -number;
    }
    return -ENODEV; /* EPIPE, ECONNRESET, ENOTCONN */
}

static int malformed(struct exchange *exchange)
{
    exchange->after = DEAD;
    return -EIO;
}

/*
 * Send a request and take its reply straight between the wire and the program's memory: the kernel finds bad
 * pointers (EFAULT), and a transfer is two system calls. Returns the server's status or -errno.
 */
static int run(struct exchange *exchange)
{
    int64_t deadline = now_ms() + timeout_ms;
    struct request_header request;
    struct reply_header reply;
    size_t length = 0, room = 0, have = 0;

    for (int i = 1; i <= exchange->outs; i++)
        length += exchange->out[i].iov_len;
    for (int i = 1; i <= exchange->ins; i++)
        room += exchange->in[i].iov_len;
    request = (struct request_header){htole32((uint32_t)length), htole16(exchange->op), htole16(exchange->bus)};
    exchange->out[0] = (struct iovec){&request, sizeof request};
    exchange->in[0] = (struct iovec){&reply, sizeof reply};

    struct msghdr out = {.msg_iov = exchange->out, .msg_iovlen = (size_t)exchange->outs + 1};
    while (out.msg_iovlen > 0) {
        ssize_t sent = sendmsg(exchange->fd, &out, MSG_NOSIGNAL);
        if (sent >= 0) {
            advance(&out, (size_t)sent);
        } else {
            int problem = failed(exchange, errno, POLLOUT, deadline);
            if (problem != 0)
                return problem;
        }
    }

    struct msghdr in = {.msg_iov = exchange->in, .msg_iovlen = (size_t)exchange->ins + 1};
    size_t wanted = sizeof reply; /* grows once the header is there */
    while (have < wanted) {
        ssize_t got = recvmsg(exchange->fd, &in, 0);
        if (got < 0) {
            int problem = failed(exchange, errno, POLLIN, deadline);
            if (problem != 0)
                return problem;
            continue;
        }
        if (got == 0) {
            exchange->after = DEAD;
            return -ENODEV;
        }
        advance(&in, (size_t)got);
        have += (size_t)got;
        if (have >= sizeof reply) {
            exchange->received = le32toh(reply.length);
            if (exchange->received > room)
                return malformed(exchange);
            wanted = sizeof reply + exchange->received;
        }
        if (have < wanted && now_ms() >= deadline) { /* a server that trickles */
            exchange->after = DEAD;
            return -ETIMEDOUT;
        }
    }

    int status = (int)(int32_t)le32toh(reply.status);
    if (have > wanted || (status < 0 && (status < -4095 || exchange->received != 0)))
        return malformed(exchange);
    exchange->after = LIVE;
    return status;
}

/* ---------------------------------------------------------------- connecting */

/*
 * Client sockets are bound to an abstract name that tells the bus, so that a program that inherits one over
 * exec (shell: `exec 3<>/dev/i2c-1`) knows it for what it is.
 */
#define NAME_FORMAT "cmis-emu-i2c.%u.%ld.%u"

static void name_socket(int fd, unsigned bus)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, NAME_FORMAT, bus, (long)getpid(),
                          atomic_fetch_add(&dialled, 1));
    (void)!bind(fd, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length));
}

/* The bus that a socket's name tells, or -1. */
static int named_bus(int fd)
{
    struct sockaddr_un name;
    socklen_t length = sizeof name;
    unsigned bus, count;
    long process;
    memset(&name, 0, sizeof name);
    if (getsockname(fd, (struct sockaddr *)&name, &length) != 0 || name.sun_family != AF_UNIX || name.sun_path[0] != 0)
        return -1;
    name.sun_path[sizeof name.sun_path - 1] = 0;
    return sscanf(name.sun_path + 1, NAME_FORMAT, &bus, &process, &count) == 3 && bus <= UINT16_MAX ? (int)bus : -1;
}

static void complain(void)
{
    char line[sizeof server_path + 64];
    if (atomic_exchange(&complained, true))
        return;
    int length = snprintf(line, sizeof line, "cmis-emu: no emulator answers at %s%s\n", server_path,
                          path_too_long ? "... (path too long)" : "");
    (void)!NEXT(write)(STDERR_FILENO, line, (size_t)length);
}

static int connect_server(int fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    int64_t deadline = now_ms() + timeout_ms;
    if (path_too_long)
        return -ENODEV;
    memcpy(address.sun_path, server_path, sizeof address.sun_path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    while (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        if (errno != EINTR || now_ms() >= deadline)
            return -ENODEV;
    return 0;
}

/* A new stream to the server for one bus: a descriptor, or -errno (-ENOENT only when there is no such bus). */
static int dial(unsigned bus, bool close_on_exec, uint64_t *functionality)
{
    struct __attribute__((packed)) {
        uint32_t version, process;
    } hello = {htole32(PROTOCOL_VERSION), htole32((uint32_t)getpid())};
    uint64_t answer = 0;

    int fd = socket(AF_UNIX, SOCK_STREAM | (close_on_exec ? SOCK_CLOEXEC : 0), 0);
    if (fd < 0)
        return -errno;
    name_socket(fd, bus);
    int status = connect_server(fd);
    if (status == 0) {
        struct exchange exchange = {.fd = fd, .op = OP_OPEN, .bus = (uint16_t)bus};
        give(&exchange, &hello, sizeof hello);
        expect(&exchange, &answer, sizeof answer);
        status = run(&exchange);
        if (status >= 0 && exchange.received != sizeof answer)
            status = -EIO;
    }
    if (status < 0) {
        NEXT(close)(fd);
        return status;
    }
    *functionality = le64toh(answer);
    return fd;
}

/*
 * Replace the stream of a locked connection by a new one under the same descriptor numbers. Slave address and
 * flags stay. For a child after fork, and for a stream that got out of step.
 */
static int renew(struct connection *connection)
{
    int fresh = dial(atomic_load(&connection->bus), true, &connection->functionality);
    if (fresh < 0) {
        connection->state = DEAD;
        return fresh == -ENOENT ? -ENODEV : fresh;
    }
    if (pthread_mutex_lock(&table_lock) != 0) {
        NEXT(close)(fresh);
        return -EBUSY;
    }
    for (int fd = 0; fd < CHUNK * CHUNKS; fd++) {
        if (atomic_load(&table[fd / CHUNK]) == NULL) {
            fd += CHUNK - 1;
        } else if (hint(fd) == connection && is_socket_of(connection, fd)) {
            int flags = NEXT(fcntl)(fd, F_GETFD);
            NEXT(dup3)(fresh, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
        }
    }
    atomic_store(&connection->inode, socket_inode(fresh));
    pthread_mutex_unlock(&table_lock);
    NEXT(close)(fresh);
    connection->process = getpid();
    connection->generation = atomic_load(&fork_generation);
    connection->state = LIVE;
    return 0;
}

/* Run an exchange on a locked connection, over a stream that is this process's own. */
static int transact(struct connection *connection, struct exchange *exchange)
{
    if (connection->state == DEAD)
        return -ENODEV;
    if (connection->state == STALE || connection->process != getpid() ||
        connection->generation != atomic_load_explicit(&fork_generation, memory_order_relaxed)) {
        int problem = renew(connection);
        if (problem != 0)
            return problem;
    }
    exchange->bus = (uint16_t)atomic_load_explicit(&connection->bus, memory_order_relaxed);
    exchange->abandoned = &connection->abandoned;
    int status = run(exchange);
    connection->state = exchange->after;
    return status;
}

/* The reply does not fit the request: the stream cannot be trusted any more. */
static int distrust(struct connection *connection)
{
    connection->state = DEAD;
    return -EIO;
}

/* ---------------------------------------------------------------- transfers, as i2c-dev does them */

/* Messages that were checked; the number of messages done, or -errno. */
static int transfer(struct connection *connection, int fd, const struct message *messages, unsigned count)
{
    struct exchange exchange = {.fd = fd, .op = OP_RDWR};
    struct wire_rdwr head = {.count = htole16((uint16_t)count)};
    size_t read = 0;

    give(&exchange, &head, offsetof(struct wire_rdwr, messages) + count * sizeof head.messages[0]);
    for (unsigned i = 0; i < count; i++) {
        const struct message *message = &messages[i];
        head.messages[i] = (struct wire_message){htole16(message->address), htole16(message->flags),
                                                 htole16(message->length), 0};
        if (message->flags & I2C_M_RD)
            expect(&exchange, message->data, message->length);
        else
            give(&exchange, message->data, message->length);
    }
    int status = transact(connection, &exchange);
    if (status < 0)
        return status;
    if ((unsigned)status > count)
        return distrust(connection);
    for (int i = 0; i < status; i++)
        if (messages[i].flags & I2C_M_RD)
            read += messages[i].length;
    return exchange.received == read ? status : distrust(connection);
}

static int do_rdwr(struct connection *connection, int fd, const struct rdwr_argument *argument)
{
    if (is_bad_pointer(argument))
        return -EFAULT;
    if (argument->messages == NULL || argument->count == 0 || argument->count > MESSAGES_MAX)
        return -EINVAL;
    if (is_bad_pointer(argument->messages))
        return -EFAULT;
    /* A copy: what was checked is what is sent, whatever other threads do. */
    struct message messages[MESSAGES_MAX];
    unsigned count = argument->count;
    memcpy(messages, argument->messages, count * sizeof messages[0]);
    for (unsigned i = 0; i < count; i++) {
        if (messages[i].length > LENGTH_MAX)
            return -EINVAL;
        if (messages[i].length > 0 && is_bad_pointer(messages[i].data))
            return -EFAULT;
        if (messages[i].flags & I2C_M_RECV_LEN) {
            if (!(messages[i].flags & I2C_M_RD) || messages[i].length < 1 || messages[i].data[0] < 1 ||
                messages[i].length < messages[i].data[0] + BLOCK_MAX)
                return -EINVAL;
            return -EOPNOTSUPP; /* I2C_FUNC_SMBUS_READ_BLOCK_DATA is not among the functions */
        }
    }
    return transfer(connection, fd, messages, count);
}

static int do_smbus(struct connection *connection, int fd, const struct smbus_argument *argument)
{
    if (is_bad_pointer(argument))
        return -EFAULT;
    uint32_t size = argument->size;
    bool read = argument->read == 1;
    uint8_t *data = argument->data;
    if (size > SMBUS_I2C_BLOCK_DATA || argument->read > 1)
        return -EINVAL;

    /* How many bytes of the program's memory this transaction has, and which ways they go. */
    bool call = size == SMBUS_PROC_CALL || size == SMBUS_BLOCK_PROC_CALL;
    size_t length = SMBUS_DATA;
    if (size == SMBUS_QUICK || (size == SMBUS_BYTE && !read))
        length = 0;
    else if (size == SMBUS_BYTE || size == SMBUS_BYTE_DATA)
        length = 1;
    else if (size == SMBUS_WORD_DATA || size == SMBUS_PROC_CALL)
        length = 2;
    bool goes_out = length > 0 && (!read || call || size == SMBUS_I2C_BLOCK_DATA);
    bool comes_in = length > 0 && (read || call);
    if (length > 0 && data == NULL)
        return -EINVAL;
    if (length > 0 && is_bad_pointer(data))
        return -EFAULT;
    if (length == SMBUS_DATA && goes_out && data[0] > BLOCK_MAX)
        return -EINVAL;
    size_t sent = !goes_out ? 0 : length != SMBUS_DATA ? length : read && !call ? 1 : 1 + (size_t)data[0];

    uint8_t filler[SMBUS_DATA] = {0}, unused[SMBUS_DATA];
    if (size == SMBUS_I2C_BLOCK_BROKEN) {
        size = SMBUS_I2C_BLOCK_DATA;
        if (read)
            filler[0] = BLOCK_MAX;
    }
    struct wire_smbus head = {.address = htole16(connection->address),
                              .read = argument->read,
                              .command = argument->command,
                              .size = htole32(size),
                              .flags = htole16(connection->flags)};
    struct exchange exchange = {.fd = fd, .op = OP_SMBUS};
    give(&exchange, &head, sizeof head);
    give(&exchange, data, sent);
    give(&exchange, filler, sizeof filler - sent);
    if (comes_in)
        expect(&exchange, data, length);
    expect(&exchange, unused, comes_in ? sizeof unused - length : sizeof unused);
    int status = transact(connection, &exchange);
    if (status < 0)
        return status;
    return status == 0 && exchange.received == SMBUS_DATA ? 0 : distrust(connection);
}

static int do_ioctl(struct connection *connection, int fd, uint32_t request, unsigned long argument)
{
    switch (request) {
    case I2C_SLAVE:
    case I2C_SLAVE_FORCE:
        if (argument > 0x3ff || (argument > 0x7f && !(connection->flags & I2C_M_TEN)))
            return -EINVAL;
        connection->address = (uint16_t)argument;
        return 0;
    case I2C_TENBIT:
    case I2C_PEC: {
        uint16_t flag = request == I2C_PEC ? I2C_CLIENT_PEC : I2C_M_TEN;
        connection->flags = (uint16_t)(argument ? connection->flags | flag : connection->flags & ~flag);
        return 0;
    }
    case I2C_FUNCS:
        if (is_bad_pointer((void *)argument))
            return -EFAULT;
        *(unsigned long *)argument = (unsigned long)connection->functionality;
        return 0;
    case I2C_RDWR:
        return do_rdwr(connection, fd, (const struct rdwr_argument *)argument);
    case I2C_SMBUS:
        return do_smbus(connection, fd, (const struct smbus_argument *)argument);
    case I2C_RETRIES:
    case I2C_TIMEOUT: /* the emulator has its own time */
        return argument > INT_MAX ? -EINVAL : 0;
    default:
        return -ENOTTY;
    }
}

/* read() and write(): one message to the slave address. */
static long do_plain(struct connection *connection, int fd, void *data, size_t count, bool read)
{
    if (connection->access == (read ? O_WRONLY : O_RDONLY))
        return -EBADF;
    if (count > LENGTH_MAX)
        count = LENGTH_MAX;
    if (count > 0 && is_bad_pointer(data))
        return -EFAULT;
    struct message message = {.address = connection->address,
                              .flags = (uint16_t)((read ? I2C_M_RD : 0) | (connection->flags & I2C_M_TEN)),
                              .length = (uint16_t)count,
                              .data = data};
    int status = transfer(connection, fd, &message, 1);
    return status < 0 ? status : status == 1 ? (long)count : -EIO;
}

/* ---------------------------------------------------------------- the device files */

/* The bus that a path names, or -1. */
static int bus_of_path(const char *path)
{
    if (!enabled || is_bad_pointer(path) || strncmp(path, "/dev/i2c", 8) != 0 || (path[8] != '-' && path[8] != '/'))
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
static int existing_bus(const char *path)
{
    uint64_t functionality;
    int saved = errno;
    int bus = bus_of_path(path);
    int fd = bus < 0 ? -1 : dial((unsigned)bus, true, &functionality);
    if (fd >= 0)
        NEXT(close)(fd);
    errno = saved;
    return fd >= 0 ? bus : -1;
}

enum { NOT_OURS = INT_MIN };

/* Open by path: a descriptor, -errno, or NOT_OURS. */
static int open_path(const char *path, int flags)
{
    int bus = bus_of_path(path);
    if (bus < 0)
        return NOT_OURS;
    uint64_t functionality = 0;
    int fd = dial((unsigned)bus, (flags & O_CLOEXEC) != 0, &functionality);
    if (fd == -ENOENT)
        return NOT_OURS;
    if (fd == -ENODEV || fd == -ETIMEDOUT)
        complain();
    if (fd < 0)
        return fd;

    int problem = 0;
    struct connection *connection = NULL;
    if ((flags & O_CREAT) && (flags & O_EXCL))
        problem = -EEXIST;
    else if (flags & O_DIRECTORY)
        problem = -ENOTDIR;
    else if ((connection = take_connection()) == NULL)
        problem = -ENOMEM;
    if (problem == 0) {
        if (!lock(connection)) { /* a handler closed what its thread was using, and now opens */
            give_back(connection);
            problem = -EBUSY;
        } else {
            connection->state = LIVE;
            connection->process = getpid();
            connection->generation = atomic_load(&fork_generation);
            connection->address = connection->flags = 0;
            connection->access = flags & O_ACCMODE;
            connection->functionality = functionality;
            atomic_store(&connection->abandoned, false);
            atomic_store(&connection->bus, (uint32_t)bus);
            atomic_store(&connection->inode, socket_inode(fd));
            if (!remember(fd, connection)) {
                give_back(connection);
                problem = -EMFILE;
            }
            unlock(connection);
        }
    }
    if (problem != 0)
        NEXT(close)(fd);
    return problem != 0 ? problem : fd;
}

/* A program started with one of our sockets open (exec): use it, over a stream of its own from the first call on. */
static void adopt_inherited(void)
{
    for (int fd = 0; fd < ADOPTED_MAX; fd++) {
        int bus = named_bus(fd);
        if (bus < 0)
            continue;
        struct connection *connection = NULL;
        for (int other = 0; other < fd && connection == NULL; other++)
            if (hint(other) != NULL && is_socket_of(hint(other), fd))
                connection = hint(other);
        if (connection == NULL && (connection = take_connection()) != NULL) {
            connection->state = STALE;
            connection->access = O_RDWR;
            atomic_store(&connection->bus, (uint32_t)bus);
            atomic_store(&connection->inode, socket_inode(fd));
        }
        if (connection != NULL)
            remember(fd, connection);
    }
}

static void set_up(void)
{
    for (int i = 0; i < NEXT_COUNT; i++)
        next_address((enum next)i);
    make_lock(&table_lock);
    atomic_store(&home_process, getpid());
    clock_gettime(CLOCK_REALTIME, &loaded_at);
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);

    const char *path = getenv("CMIS_EMU_SOCKET");
    if (path == NULL || path[0] == 0)
        return;
    path_too_long = strlen(path) >= sizeof server_path;
    strncpy(server_path, path, sizeof server_path - 1);
    const char *timeout = getenv("CMIS_EMU_TIMEOUT_MS");
    if (timeout != NULL) {
        char *end;
        long value = strtol(timeout, &end, 10);
        if (end != timeout && *end == 0 && value > 0 && value <= INT_MAX)
            timeout_ms = value;
    }
    enabled = true;
    adopt_inherited();
}

__attribute__((constructor)) static void start(void)
{
    int saved = errno;
    pthread_once(&once, set_up);
    errno = saved;
}

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

/* Answer for a device file, or let the C library do it. All our paths are absolute, so openat is the same. */
#define OPEN_OR(path, flags, next_call)                                                                          \
    do {                                                                                                         \
        start();                                                                                                 \
        int fd_or_error = open_path(path, flags);                                                                \
        return fd_or_error == NOT_OURS ? (next_call) : (int)outcome(fd_or_error);                                \
    } while (0)

int open(const char *path, int flags, ...)
{
    TAKE_MODE(mode, flags)
    OPEN_OR(path, flags, NEXT(open)(path, flags, mode));
}

int open64(const char *path, int flags, ...)
{
    TAKE_MODE(mode, flags)
    OPEN_OR(path, flags, NEXT(open64)(path, flags, mode));
}

int openat(int directory, const char *path, int flags, ...)
{
    TAKE_MODE(mode, flags)
    OPEN_OR(path, flags, NEXT(openat)(directory, path, flags, mode));
}

int openat64(int directory, const char *path, int flags, ...)
{
    TAKE_MODE(mode, flags)
    OPEN_OR(path, flags, NEXT(openat64)(directory, path, flags, mode));
}

/* The names that fortified programs call when they pass no mode. */
int __open_2(const char *path, int flags)
{
    OPEN_OR(path, flags, NEXT(__open_2)(path, flags));
}

int __open64_2(const char *path, int flags)
{
    OPEN_OR(path, flags, NEXT(__open64_2)(path, flags));
}

int __openat_2(int directory, const char *path, int flags)
{
    OPEN_OR(path, flags, NEXT(__openat_2)(directory, path, flags));
}

int __openat64_2(int directory, const char *path, int flags)
{
    OPEN_OR(path, flags, NEXT(__openat64_2)(directory, path, flags));
}

/* ---------------------------------------------------------------- replaced: close and duplicates */

/* Clear the slot of a descriptor that is about to go away, after a transfer in another thread has ended. */
static struct connection *detach(int fd)
{
    struct connection *connection = hint(fd);
    if (connection == NULL || is_guest())
        return NULL;
    bool locked = lock(connection);
    bool ours = hint(fd) == connection && is_socket_of(connection, fd);
    forget(fd, connection);
    if (ours && !locked && connection->references == 0)
        atomic_store(&connection->abandoned, true);
    if (locked)
        unlock(connection);
    return ours ? connection : NULL;
}

int close(int fd)
{
    detach(fd);
    return NEXT(close)(fd);
}

/* Run `call`, which makes a new descriptor out of `fd`, and remember the new one when the old one is ours. */
#define DUPLICATE(fd, call)                                                                                      \
    do {                                                                                                         \
        bool busy;                                                                                               \
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

static bool is_guest_safe(int fd)
{
    return hint(fd) != NULL && !is_guest();
}

int dup(int fd)
{
    DUPLICATE(fd, NEXT(dup)(fd));
}

/* dup2 and dup3 close their target. When they cannot work, the target must stay what it was. */
static bool closes_target(int fd, int target, int flags)
{
    return hint(target) != NULL && fd != target && (flags & ~O_CLOEXEC) == 0 && NEXT(fcntl)(fd, F_GETFD) >= 0;
}

int dup2(int fd, int target)
{
    if (closes_target(fd, target, 0))
        detach(target);
    DUPLICATE(fd, NEXT(dup2)(fd, target));
}

int dup3(int fd, int target, int flags)
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

int fcntl(int fd, int command, ...)
{
    TAKE_POINTER(argument, command)
    if (command != F_DUPFD && command != F_DUPFD_CLOEXEC)
        return NEXT(fcntl)(fd, command, argument);
    DUPLICATE(fd, NEXT(fcntl)(fd, command, argument));
}

/* Programs with 64-bit file offsets call this name from glibc 2.28 on. */
int fcntl64(int fd, int command, ...)
{
    TAKE_POINTER(argument, command)
    if (command != F_DUPFD && command != F_DUPFD_CLOEXEC)
        return NEXT(fcntl64)(fd, command, argument);
    DUPLICATE(fd, NEXT(fcntl64)(fd, command, argument));
}

/* ---------------------------------------------------------------- replaced: ioctl, read, write */

int ioctl(int fd, unsigned long request, ...)
{
    TAKE_POINTER(argument, request)
    uint32_t number = (uint32_t)request; /* some programs sign-extend it */
    /* What the kernel does for every file, before the driver is asked. */
    if (hint(fd) == NULL || number == FIOCLEX || number == FIONCLEX || number == FIONBIO)
        return NEXT(ioctl)(fd, request, argument);
    bool busy;
    struct connection *connection = acquire(fd, &busy);
    if (connection == NULL)
        return busy ? error(EBUSY) : NEXT(ioctl)(fd, request, argument);
    int result = do_ioctl(connection, fd, number, (unsigned long)argument);
    unlock(connection);
    return (int)outcome(result);
}

#define PLAIN_OR(fd, buffer, count, is_read, next_call)                                                          \
    do {                                                                                                         \
        if (hint(fd) == NULL)                                                                                    \
            return (next_call);                                                                                  \
        bool busy;                                                                                               \
        struct connection *connection = acquire(fd, &busy);                                                      \
        if (connection == NULL)                                                                                  \
            return busy ? error(EBUSY) : (next_call);                                                            \
        long result = do_plain(connection, fd, buffer, count, is_read);                                          \
        unlock(connection);                                                                                      \
        return (ssize_t)outcome(result);                                                                         \
    } while (0)

ssize_t read(int fd, void *buffer, size_t count)
{
    PLAIN_OR(fd, buffer, count, true, NEXT(read)(fd, buffer, count));
}

/* read() in fortified programs; the C library ends the program when the buffer is too small. */
ssize_t __read_chk(int fd, void *buffer, size_t count, size_t room)
{
    if (count > room)
        return NEXT(__read_chk)(fd, buffer, count, room);
    PLAIN_OR(fd, buffer, count, true, NEXT(__read_chk)(fd, buffer, count, room));
}

ssize_t write(int fd, const void *buffer, size_t count)
{
    PLAIN_OR(fd, (void *)(uintptr_t)buffer, count, false, NEXT(write)(fd, buffer, count));
}

/* ---------------------------------------------------------------- replaced: stat and access */

enum { NODE_MODE = 0660, NODE_INODE = 0x12c0000 };

/* A path of ours, or "" with AT_EMPTY_PATH and a descriptor of ours; -1 otherwise. */
static int bus_at(int directory, const char *path, int flags)
{
    if ((flags & AT_EMPTY_PATH) && !is_bad_pointer(path) && path[0] == 0)
        return bus_of_descriptor(directory);
    start();
    return existing_bus(path);
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

#define STAT_OR(out, bus_expression, next_call)                                                                  \
    do {                                                                                                         \
        int bus = (bus_expression);                                                                              \
        if (bus < 0)                                                                                             \
            return (next_call);                                                                                  \
        if (is_bad_pointer(out))                                                                                 \
            return error(EFAULT);                                                                                \
        FILL(out, bus);                                                                                          \
        return 0;                                                                                                \
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

static int next_fstat(int fd, struct stat *out)
{
    return EITHER(fstat, (fd, out), __fxstat, (STAT_VERSION, fd, out));
}

#define STAT_FAMILY(X, type)                                                                                     \
    int stat##X(const char *path, type *out)                                                                     \
    {                                                                                                            \
        STAT_OR(out, bus_at(-1, path, 0), EITHER(stat##X, (path, out), __xstat##X, (STAT_VERSION, path, out)));  \
    }                                                                                                            \
    int lstat##X(const char *path, type *out)                                                                    \
    {                                                                                                            \
        STAT_OR(out, bus_at(-1, path, 0), EITHER(lstat##X, (path, out), __lxstat##X, (STAT_VERSION, path, out))); \
    }                                                                                                            \
    int fstat##X(int fd, type *out)                                                                              \
    {                                                                                                            \
        STAT_OR(out, bus_of_descriptor(fd), EITHER(fstat##X, (fd, out), __fxstat##X, (STAT_VERSION, fd, out)));  \
    }                                                                                                            \
    int fstatat##X(int directory, const char *path, type *out, int flags)                                        \
    {                                                                                                            \
        STAT_OR(out, bus_at(directory, path, flags),                                                             \
                EITHER(fstatat##X, (directory, path, out, flags), __fxstatat##X,                                 \
                       (STAT_VERSION, directory, path, out, flags)));                                            \
    }                                                                                                            \
    int __xstat##X(int version, const char *path, type *out)                                                     \
    {                                                                                                            \
        STAT_OR(out, bus_at(-1, path, 0), EITHER(__xstat##X, (version, path, out), stat##X, (path, out)));       \
    }                                                                                                            \
    int __lxstat##X(int version, const char *path, type *out)                                                    \
    {                                                                                                            \
        STAT_OR(out, bus_at(-1, path, 0), EITHER(__lxstat##X, (version, path, out), lstat##X, (path, out)));     \
    }                                                                                                            \
    int __fxstat##X(int version, int fd, type *out)                                                              \
    {                                                                                                            \
        STAT_OR(out, bus_of_descriptor(fd), EITHER(__fxstat##X, (version, fd, out), fstat##X, (fd, out)));       \
    }                                                                                                            \
    int __fxstatat##X(int version, int directory, const char *path, type *out, int flags)                        \
    {                                                                                                            \
        STAT_OR(out, bus_at(directory, path, flags),                                                             \
                EITHER(__fxstatat##X, (version, directory, path, out, flags), fstatat##X,                        \
                       (directory, path, out, flags)));                                                          \
    }

STAT_FAMILY(, struct stat)
STAT_FAMILY(64, struct stat64)

int statx(int directory, const char *path, int flags, unsigned mask, struct statx *out)
{
    int bus = bus_at(directory, path, flags);
    if (bus < 0)
        return next_address(NEXT_statx) == NULL ? error(ENOSYS) : NEXT(statx)(directory, path, flags, mask, out);
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

int access(const char *path, int mode)
{
    start();
    return existing_bus(path) < 0 ? NEXT(access)(path, mode) : answer_access(mode);
}

int faccessat(int directory, const char *path, int mode, int flags)
{
    start();
    return existing_bus(path) < 0 ? NEXT(faccessat)(directory, path, mode, flags) : answer_access(mode);
}
