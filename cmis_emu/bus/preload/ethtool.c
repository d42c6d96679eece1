/*
 * ethtool.c: the old way of ethtool, an ioctl on any socket (SIOCETHTOOL): the two commands about modules, for an
 * interface that the emulator has.
 */

#include "shim.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>

/* True when the emulator has answered, with what ioctl() returns. Called by ioctl(), which is replaced elsewhere. */
bool ethtool_ioctl(int fd, void *argument, int *result)
{
    struct ifreq request;
    uint8_t before[sizeof(struct ethtool_modinfo)], after[sizeof(struct ethtool_eeprom) + 1024];
    uint32_t command;
    if (!has_interfaces || is_bad_pointer(argument) || socket_inode(fd) == 0)
        return false;
    memcpy(&request, argument, sizeof request);
    void *data = request.ifr_data;
    if (is_bad_pointer(data))
        return false;
    memcpy(&command, data, sizeof command);
    if (command != ETHTOOL_GMODULEINFO && command != ETHTOOL_GMODULEEEPROM)
        return false;
    size_t head = command == ETHTOOL_GMODULEINFO ? sizeof(struct ethtool_modinfo) : sizeof(struct ethtool_eeprom);
    memcpy(before, data, head);
    size_t room = head;
    if (command == ETHTOOL_GMODULEEEPROM)
        room += ((struct ethtool_eeprom *)data)->len;
    struct exchange exchange = {.op = OP_ETHTOOL};
    give(&exchange, request.ifr_name, IFNAMSIZ);
    give(&exchange, before, head);
    expect(&exchange, after, room < sizeof after ? room : sizeof after);
    int saved = errno, status = ask(&exchange);
    errno = saved;
    if (status == -ENODEV)
        return false;
    if (status >= 0)
        memcpy(data, after, exchange.received);
    *result = (int)outcome(status);
    return true;
}
