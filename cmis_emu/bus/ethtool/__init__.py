"""ethtool on an emulated module: what the kernel's family "ethtool" and a driver behind it answer.

`netlink` has the messages, `family` the requests and their errors as the kernel's net/ethtool gives them, `driver` the
module behind an interface, `legacy` the old ioctl. How requests get here is the business of the way.
"""
