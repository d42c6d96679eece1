/*
 * stream.c: one exchange with the emulator, and the streams that exchanges go over.
 *
 * A request and its reply pass straight between the wire and the program's memory; each has one deadline
 * (CMIS_EMU_TIMEOUT_MS, 10 s). A stream has one owner: in another process than the one that made it (fork, or
 * inherited over exec) the first use makes a new stream and puts it under the same descriptor numbers.
 */

#include "shim.h"

#include <sys/time.h>

struct __attribute__((packed)) request_header {
    uint32_t length;
    uint16_t op;
    uint16_t bus;
};

struct __attribute__((packed)) reply_header {
    uint32_t length;
    uint32_t status;
};

static atomic_uint dialled; /* makes socket names unique */
static atomic_bool complained;

/* ---------------------------------------------------------------- one exchange with the emulator */

void give(struct exchange *exchange, const void *data, size_t length)
{
    if (length > 0)
        exchange->out[++exchange->outs] = (struct iovec){(void *)(uintptr_t)data, length};
}

void expect(struct exchange *exchange, void *data, size_t length)
{
    if (length > 0)
        exchange->in[++exchange->ins] = (struct iovec){data, length};
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
        ssize_t sent = NEXT(sendmsg)(exchange->fd, &out, MSG_NOSIGNAL);
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
        ssize_t got = NEXT(recvmsg)(exchange->fd, &in, 0);
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
    size_t size = offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length;
    (void)!NEXT(bind)(fd, (struct sockaddr *)&name, (socklen_t)size);
}

/* The bus that a socket's name tells, or -1. */
int named_bus(int fd)
{
    struct sockaddr_un name;
    socklen_t length = sizeof name;
    unsigned bus, count;
    long process;
    memset(&name, 0, sizeof name);
    if (NEXT(getsockname)(fd, (struct sockaddr *)&name, &length) != 0)
        return -1;
    if (name.sun_family != AF_UNIX || name.sun_path[0] != 0)
        return -1;
    name.sun_path[sizeof name.sun_path - 1] = 0;
    return sscanf(name.sun_path + 1, NAME_FORMAT, &bus, &process, &count) == 3 && bus <= UINT16_MAX ? (int)bus : -1;
}

void complain(void)
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
    NEXT(setsockopt)(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    NEXT(setsockopt)(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    while (NEXT(connect)(fd, (struct sockaddr *)&address, sizeof address) != 0)
        if (errno != EINTR || now_ms() >= deadline)
            return -ENODEV;
    return 0;
}

/* A new stream to the emulator; the bus is what its name tells. A descriptor, or -errno. */
static int connect_stream(unsigned bus, bool close_on_exec)
{
    int fd = NEXT(socket)(AF_UNIX, SOCK_STREAM | (close_on_exec ? SOCK_CLOEXEC : 0), 0);
    if (fd < 0)
        return -errno;
    name_socket(fd, bus);
    int status = connect_server(fd);
    if (status == 0)
        return fd;
    NEXT(close)(fd);
    return status;
}

/* A new stream for one bus: a descriptor, or -errno (-ENOENT only when there is no such bus). */
int dial(unsigned bus, bool close_on_exec, uint64_t *functionality)
{
    struct __attribute__((packed)) {
        uint32_t version, process;
    } hello = {htole32(PROTOCOL_VERSION), htole32((uint32_t)getpid())};
    uint64_t answer = 0;

    int fd = connect_stream(bus, close_on_exec);
    if (fd < 0)
        return fd;
    struct exchange exchange = {.fd = fd, .op = OP_OPEN, .bus = (uint16_t)bus};
    give(&exchange, &hello, sizeof hello);
    expect(&exchange, &answer, sizeof answer);
    int status = run(&exchange);
    if (status >= 0 && exchange.received != sizeof answer)
        status = -EIO;
    if (status < 0) {
        NEXT(close)(fd);
        return status;
    }
    *functionality = le64toh(answer);
    return fd;
}

/* One exchange that belongs to no device file, over a stream of its own. */
int ask(struct exchange *exchange)
{
    int cancel_state = begin_making();
    int status = connect_stream(0, true);
    if (status >= 0) {
        exchange->fd = status;
        status = run(exchange);
        NEXT(close)(exchange->fd);
    }
    end_making(cancel_state);
    return status;
}

/* Put the stream `with` under a number that another one has. */
static void take_place(int fd, int with)
{
    int flags = NEXT(fcntl)(fd, F_GETFD);
    NEXT(dup3)(with, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
}

/*
 * Replace the stream of a locked connection by a new one under the same descriptor numbers. Slave address and
 * flags stay. For a child after fork, and for a stream that got out of step.
 */
static int replace_stream(struct connection *connection)
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
    for_each_descriptor(connection, take_place, fresh);
    atomic_store(&connection->inode, socket_inode(fresh));
    pthread_mutex_unlock(&table_lock);
    NEXT(close)(fresh);
    connection->process = getpid();
    connection->generation = atomic_load(&fork_generation);
    connection->state = LIVE;
    return 0;
}

static int renew(struct connection *connection)
{
    int cancel_state = begin_making();
    int result = replace_stream(connection);
    end_making(cancel_state);
    return result;
}

/*
 * Run an exchange on a locked connection, over a stream that is this process's own. A vfork child borrows its
 * parent's, whose locks it shares too.
 */
int transact(struct connection *connection, struct exchange *exchange)
{
    if (connection->state == DEAD)
        return -ENODEV;
    bool own = connection->process == getpid() &&
               connection->generation == atomic_load_explicit(&fork_generation, memory_order_relaxed);
    if ((!own || connection->state == STALE) && !is_guest()) {
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
int distrust(struct connection *connection)
{
    connection->state = DEAD;
    return -EIO;
}

