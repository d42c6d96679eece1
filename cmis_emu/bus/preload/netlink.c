/*
 * netlink.c: what ethtool asks about an interface that the emulator has; replaced: functions on sockets.
 *
 * A request to the generic netlink family "ethtool" goes to the emulator first. When the emulator takes it, the
 * kernel gets a harmless message in its place that it acknowledges, once for each datagram of the answer; when such
 * an acknowledgement arrives, the answer takes its place. So waiting, polling, order and peeking are the kernel's,
 * and everything else on the socket passes untouched.
 *
 * On a stand-in (standin.c) the emulator is all there is. Where the kernel has generic netlink without the family,
 * only requests for that family are the emulator's.
 *
 * What is not there: such an interface has a module and nothing else. ip link, if_nametoindex(), /sys/class/net and
 * the other commands of ethtool find what the kernel has; lists of all interfaces (dumps) do not name it.
 */

#include "shim.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>

enum {
    FAMILY_WHEN_NONE = 0x3f0, /* an id that the kernel gives last, for a family that it lacks (wire.py) */
    MESSAGE_MAX = 65536,
    ANSWERS_ROOM = 16384,
    ANSWERS_MAX = 256, /* kept for a program that does not fetch them */
    TOKENS = 0x634d0000,
};

enum { /* flags of OP_NETLINK */
    WITH_EXTENDED_ACK = 1,
    WITH_CAPPED_ACK = 2,
    NO_FAMILY = 4, /* the kernel does not have it: the emulator tells its id */
    NO_KERNEL = 8, /* nobody else answers */
};

struct __attribute__((packed)) wire_netlink {
    uint16_t family;
    uint16_t flags;
};

/* A datagram that waits for the acknowledgement of the message that went in its place. */
struct answer {
    struct answer *next;
    uint32_t token, length;
    uint8_t data[];
};

/* Under the table's lock, which fork looks after. */
static _Atomic(struct answer *) answers;
static atomic_uint tokens = TOKENS;

static _Atomic(int) kernel_family = -1; /* 0: none, -1: not asked yet */

struct acknowledgement {
    struct nlmsghdr header;
    struct nlmsgerr error;
};

/* ---------------------------------------------------------------- which socket it is */

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t length = sizeof value;
    return NEXT(getsockopt)(fd, level, name, &value, &length) == 0 ? value : 0;
}

static bool is_generic_netlink(int fd)
{
    int saved = errno;
    bool is = option(fd, SOL_SOCKET, SO_DOMAIN) == AF_NETLINK && option(fd, SOL_SOCKET, SO_PROTOCOL) == NETLINK_GENERIC;
    errno = saved;
    return is;
}

/* The id of the kernel's own family "ethtool", 0 when it has none. */
static int family_of_kernel(void)
{
    struct {
        struct nlmsghdr header;
        struct genlmsghdr generic;
        struct nlattr name;
        char text[8];
    } request = {{sizeof request, GENL_ID_CTRL, NLM_F_REQUEST, 1, 0}, {CTRL_CMD_GETFAMILY, 1, 0},
                 {NLA_HDRLEN + 8, CTRL_ATTR_FAMILY_NAME}, "ethtool"};
    union {
        struct nlmsghdr header;
        uint8_t bytes[8192];
    } reply;
    int family = atomic_load(&kernel_family);
    if (family >= 0)
        return family;
    family = 0;
    int fd = NEXT(socket)(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
    if (fd >= 0 && NEXT(send)(fd, &request, sizeof request, 0) == (ssize_t)sizeof request) {
        ssize_t got = NEXT(recv)(fd, &reply, sizeof reply, MSG_DONTWAIT);
        if (got >= NLMSG_HDRLEN && reply.header.nlmsg_type == GENL_ID_CTRL)
            for (size_t at = NLMSG_HDRLEN + GENL_HDRLEN; at + NLA_HDRLEN + 2 <= (size_t)got;) {
                struct nlattr *attribute = (struct nlattr *)(reply.bytes + at);
                if (attribute->nla_type == CTRL_ATTR_FAMILY_ID)
                    family = *(uint16_t *)(reply.bytes + at + NLA_HDRLEN);
                if (attribute->nla_len < NLA_HDRLEN)
                    break;
                at += NLA_ALIGN(attribute->nla_len);
            }
    }
    if (fd >= 0)
        NEXT(close)(fd);
    atomic_store(&kernel_family, family);
    return family;
}

/* ---------------------------------------------------------------- answers */

static struct answer *take_answer(uint32_t token)
{
    struct answer *found = NULL, *before = NULL;
    if (pthread_mutex_lock(&table_lock) != 0)
        return NULL;
    for (found = atomic_load(&answers); found != NULL && found->token != token; found = found->next)
        before = found;
    if (found != NULL && before != NULL)
        before->next = found->next;
    else if (found != NULL)
        atomic_store(&answers, found->next);
    pthread_mutex_unlock(&table_lock);
    return found;
}

/* The newest comes first; what nobody fetched goes in the end. */
static void keep_answer(struct answer *answer)
{
    struct answer *last = NULL;
    if (pthread_mutex_lock(&table_lock) != 0) {
        free(answer);
        return;
    }
    answer->next = atomic_load(&answers);
    atomic_store(&answers, answer);
    struct answer *each = answer;
    for (unsigned count = 1; each->next != NULL; each = each->next, count++)
        if (count >= ANSWERS_MAX) {
            last = each->next;
            each->next = NULL;
            break;
        }
    pthread_mutex_unlock(&table_lock);
    while (last != NULL) {
        struct answer *older = last->next;
        free(last);
        last = older;
    }
}

static bool place_holder(int fd, const struct standin *standin, uint32_t token)
{
    struct nlmsghdr nothing = {sizeof nothing, NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, token, 0};
    if (standin == NULL) {
        struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
        return NEXT(sendto)(fd, &nothing, sizeof nothing, 0, (struct sockaddr *)&kernel, sizeof kernel) > 0;
    }
    struct acknowledgement done = {{sizeof done, NLMSG_ERROR, 0, token, standin->port}, {0, nothing}};
    struct sockaddr_un itself;
    socklen_t length = sizeof itself;
    return NEXT(getsockname)(fd, (struct sockaddr *)&itself, &length) == 0 &&
           NEXT(sendto)(fd, &done, sizeof done, 0, (struct sockaddr *)&itself, length) > 0;
}

/* One datagram of an answer, to be read from `fd`. */
static void deliver(int fd, const struct standin *standin, uint32_t port, const uint8_t *data, uint32_t length)
{
    struct answer *answer = malloc(sizeof *answer + length);
    if (answer == NULL)
        return;
    uint32_t token = atomic_fetch_add(&tokens, 1);
    answer->token = token;
    answer->length = length;
    memcpy(answer->data, data, length);
    for (uint32_t at = 0; at + NLMSG_HDRLEN <= length;) { /* addressed to this socket */
        struct nlmsghdr *header = (struct nlmsghdr *)(answer->data + at);
        header->nlmsg_pid = port;
        if (header->nlmsg_len < NLMSG_HDRLEN)
            break;
        at += NLMSG_ALIGN(header->nlmsg_len);
    }
    keep_answer(answer);
    if (!place_holder(fd, standin, token))
        free(take_answer(token));
}

/* The number that a netlink socket is known by; the kernel gives it one if it has none. */
static uint32_t port_of(int fd)
{
    struct sockaddr_nl own = {.nl_family = AF_NETLINK};
    socklen_t length = sizeof own;
    if (NEXT(getsockname)(fd, (struct sockaddr *)&own, &length) == 0 && own.nl_pid == 0) {
        length = sizeof own;
        NEXT(bind)(fd, (struct sockaddr *)&own, sizeof own);
        NEXT(getsockname)(fd, (struct sockaddr *)&own, &length);
    }
    return own.nl_pid;
}

/* Let the emulator answer one message: 1 when it did, 0 when it is the kernel's, -errno when the emulator is gone. */
static int answered(int fd, const struct standin *standin, int family, const struct nlmsghdr *message)
{
    uint8_t found[ANSWERS_ROOM];
    bool extended = standin != NULL ? standin->extended : option(fd, SOL_NETLINK, NETLINK_EXT_ACK) != 0;
    bool capped = standin != NULL ? standin->capped : option(fd, SOL_NETLINK, NETLINK_CAP_ACK) != 0;
    unsigned flags = (extended ? WITH_EXTENDED_ACK : 0u) | (capped ? WITH_CAPPED_ACK : 0u) |
                     (family == 0 ? NO_FAMILY : 0u) | (standin != NULL ? NO_KERNEL : 0u);
    struct wire_netlink head = {htole16((uint16_t)(family == 0 ? FAMILY_WHEN_NONE : family)), htole16((uint16_t)flags)};
    struct exchange exchange = {.op = OP_NETLINK};
    give(&exchange, &head, sizeof head);
    give(&exchange, message, message->nlmsg_len);
    expect(&exchange, found, sizeof found);
    int status = ask(&exchange);
    if (status <= 0)
        return status;
    uint32_t port = standin != NULL ? standin->port : port_of(fd);
    for (uint32_t at = 0; at + 4 <= exchange.received;) {
        uint32_t length;
        memcpy(&length, found + at, sizeof length);
        length = le32toh(length);
        at += 4;
        if (length > exchange.received - at)
            break;
        deliver(fd, standin, port, found + at, length);
        at += length;
    }
    return 1;
}

/*
 * A datagram on its way out. True when it needs nothing more, and then *result is what send() returns: its messages
 * were answered by the emulator or passed on one by one.
 */
static bool sent_elsewhere(int fd, const uint8_t *data, size_t length, ssize_t *result)
{
    struct standin here;
    const struct standin *standin = NULL;
    const struct nlmsghdr *message = (const struct nlmsghdr *)data;
    if (!has_interfaces || length < NLMSG_HDRLEN + GENL_HDRLEN || length > MESSAGE_MAX || is_bad_pointer(data) ||
        message->nlmsg_len < NLMSG_HDRLEN || message->nlmsg_len > length)
        return false;
    if (standin_of(fd, &here))
        standin = &here;
    else if (!is_generic_netlink(fd))
        return false;
    int saved = errno, family = standin != NULL ? 0 : family_of_kernel();
    bool first = true;
    for (size_t at = 0; at + NLMSG_HDRLEN <= length;) {
        message = (const struct nlmsghdr *)(data + at);
        if (message->nlmsg_len < NLMSG_HDRLEN || message->nlmsg_len > length - at)
            break;
        bool concerns = standin != NULL || message->nlmsg_type == (family == 0 ? FAMILY_WHEN_NONE : family) ||
                        (family == 0 && message->nlmsg_type == GENL_ID_CTRL);
        int answer = concerns ? answered(fd, standin, family, message) : 0;
        if (standin != NULL && answer <= 0) { /* nobody would ever answer */
            *result = error(ECONNREFUSED);
            return true;
        }
        if (answer <= 0) {
            if (first && at + NLMSG_ALIGN(message->nlmsg_len) >= length) {
                errno = saved;
                return false; /* it is all there is: as it was meant */
            }
            struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
            NEXT(sendto)(fd, message, message->nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel);
        }
        first = false;
        at += NLMSG_ALIGN(message->nlmsg_len);
    }
    errno = saved;
    *result = (ssize_t)length;
    return true;
}

/*
 * What was received: when it is the acknowledgement of a message of ours, put the answer in its place, as recvmsg()
 * would have. Returns the length to tell the program.
 */
static ssize_t received(const struct iovec *parts, size_t count, ssize_t got, int flags, int *truncated)
{
    struct acknowledgement head;
    size_t have = 0, room = 0;
    if (got < (ssize_t)sizeof head || atomic_load(&answers) == NULL)
        return got;
    for (size_t i = 0; i < count; i++) {
        size_t part = sizeof head - have < parts[i].iov_len ? sizeof head - have : parts[i].iov_len;
        memcpy((uint8_t *)&head + have, parts[i].iov_base, part);
        have += part;
        room += parts[i].iov_len;
    }
    if (have < sizeof head || head.header.nlmsg_type != NLMSG_ERROR ||
        head.error.msg.nlmsg_type != NLMSG_NOOP)
        return got;
    struct answer *answer = take_answer(head.header.nlmsg_seq);
    if (answer == NULL)
        return got;
    size_t left = answer->length < room ? answer->length : room, at = 0;
    *truncated = answer->length > room;
    for (size_t i = 0; i < count && at < left; i++) {
        size_t part = left - at < parts[i].iov_len ? left - at : parts[i].iov_len;
        memcpy(parts[i].iov_base, answer->data + at, part);
        at += part;
    }
    got = (ssize_t)(flags & MSG_TRUNC ? answer->length : left);
    if (flags & MSG_PEEK)
        keep_answer(answer);
    else
        free(answer);
    return got;
}

ssize_t netlink_received(void *buffer, size_t room, ssize_t got, int flags)
{
    int truncated;
    return received(&(struct iovec){buffer, room}, 1, got, flags, &truncated);
}

/* On a stand-in the sender is the kernel, too. */
static void tell_sender(int fd, ssize_t got, void *name, socklen_t *length)
{
    struct standin here;
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (got < 0 || name == NULL || length == NULL || !standin_of(fd, &here))
        return;
    memcpy(name, &kernel, *length < sizeof kernel ? *length : sizeof kernel);
    *length = sizeof kernel;
}

/* ---------------------------------------------------------------- replaced: sending and receiving */

REPLACES ssize_t send(int fd, const void *data, size_t length, int flags)
{
    ssize_t result;
    return sent_elsewhere(fd, data, length, &result) ? result : NEXT(send)(fd, data, length, flags);
}

REPLACES ssize_t sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to,
                        socklen_t to_length)
{
    ssize_t result;
    return sent_elsewhere(fd, data, length, &result) ? result : NEXT(sendto)(fd, data, length, flags, to, to_length);
}

REPLACES ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    size_t length = 0;
    if (!has_interfaces || is_bad_pointer(message) || message->msg_iovlen == 0 || is_bad_pointer(message->msg_iov))
        return NEXT(sendmsg)(fd, message, flags);
    for (size_t i = 0; i < message->msg_iovlen; i++)
        length += message->msg_iov[i].iov_len;
    ssize_t result;
    if (message->msg_iovlen == 1)
        return sent_elsewhere(fd, message->msg_iov[0].iov_base, length, &result) ? result
                                                                                 : NEXT(sendmsg)(fd, message, flags);
    struct standin here;
    if (length > MESSAGE_MAX || !(standin_of(fd, &here) || is_generic_netlink(fd)))
        return NEXT(sendmsg)(fd, message, flags);
    uint8_t *whole = malloc(length);
    size_t at = 0;
    for (size_t i = 0; whole != NULL && i < message->msg_iovlen; i++) {
        memcpy(whole + at, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
        at += message->msg_iov[i].iov_len;
    }
    bool elsewhere = whole != NULL && sent_elsewhere(fd, whole, length, &result);
    int saved = errno;
    free(whole);
    errno = saved;
    return elsewhere ? result : NEXT(sendmsg)(fd, message, flags);
}

REPLACES ssize_t recv(int fd, void *buffer, size_t room, int flags)
{
    return netlink_received(buffer, room, NEXT(recv)(fd, buffer, room, flags), flags);
}

REPLACES ssize_t __recv_chk(int fd, void *buffer, size_t room, size_t space, int flags)
{
    return netlink_received(buffer, room, NEXT(__recv_chk)(fd, buffer, room, space, flags), flags);
}

REPLACES ssize_t recvfrom(int fd, void *buffer, size_t room, int flags, struct sockaddr *from, socklen_t *from_length)
{
    socklen_t space = from_length != NULL ? *from_length : 0;
    ssize_t got = NEXT(recvfrom)(fd, buffer, room, flags, from, from_length);
    tell_sender(fd, got, from, from_length == NULL ? NULL : (*from_length = space, from_length));
    return netlink_received(buffer, room, got, flags);
}

REPLACES ssize_t __recvfrom_chk(int fd, void *buffer, size_t room, size_t space, int flags, struct sockaddr *from,
                                socklen_t *from_length)
{
    return room > space ? NEXT(__recvfrom_chk)(fd, buffer, room, space, flags, from, from_length)
                        : recvfrom(fd, buffer, room, flags, from, from_length);
}

REPLACES ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    int truncated = 0;
    socklen_t space = is_bad_pointer(message) ? 0 : message->msg_namelen;
    ssize_t got = NEXT(recvmsg)(fd, message, flags);
    if (got < 0)
        return got;
    struct standin here;
    if (message->msg_name != NULL && standin_of(fd, &here)) {
        message->msg_namelen = space;
        tell_sender(fd, got, message->msg_name, &message->msg_namelen);
    }
    got = received(message->msg_iov, message->msg_iovlen, got, flags, &truncated);
    if (truncated)
        message->msg_flags |= MSG_TRUNC;
    return got;
}
