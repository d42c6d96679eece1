/*
 * i2cdev.c: what i2c-dev does with an open device file: the ioctls, and read() and write() as one message each
 * (Documentation/i2c/dev-interface.rst). Limits and errors are the kernel's.
 */

#include "shim.h"

/* ---------------------------------------------------------------- the i2c-dev userspace ABI */

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

int do_ioctl(struct connection *connection, int fd, uint32_t request, unsigned long argument)
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
long do_plain(struct connection *connection, int fd, void *data, size_t count, bool read)
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

