//! Attacks by sockets: the network, the services of the machine, and the kernel's own.

use super::attack::Proof::{Ends, Sends};
use super::attack::{Attack, Defence, SEEN, attack, sometimes};

const NETWORK: Defence = Defence::Walls(&["network"]);
const CALLS: Defence = Defence::Walls(&["system calls"]);
const PAIR: &str = "perl -MSocket -e 'socketpair(A, B, PF_UNIX, SOCK_STREAM, 0) or exit 1'";
const NAMED: &str = "perl -MSocket -e 'socket(L, PF_UNIX, SOCK_STREAM, 0); bind(L, sockaddr_un(\"s\")) or exit 1; listen(L, 1); \
                     socket(S, PF_UNIX, SOCK_STREAM, 0); connect(S, sockaddr_un(\"s\")) or exit 1'";
/// Asks the proxy to the hosts of `[isolation] network` for another one; without it there is no need to ask.
const PROXY: &str = "case $http_proxy in http://127.0.0.1:3128) p=3128 ;; *) p=$PORT ;; esac\n\
                     exec 3<>/dev/tcp/127.0.0.1/$p || exit 1\ntest $p = $PORT && exit 0\n\
                     printf 'CONNECT 127.0.0.1:%s HTTP/1.1\\r\\n\\r\\n' $PORT >&3\nread -t 20 -r _ code _ <&3\ntest \"$code\" = 200";
/// A loopback device, or no network at all.
const LOOPBACK: &str = "perl -MSocket -e 'socket(L, PF_INET, SOCK_STREAM, 0) or exit 0; bind(L, sockaddr_in(0, INADDR_LOOPBACK)) or die; \
                        listen(L, 1); ($p) = sockaddr_in(getsockname(L)); socket(S, PF_INET, SOCK_STREAM, 0); \
                        connect(S, sockaddr_in($p, INADDR_LOOPBACK)) or die'";

pub(super) const TABLE: &[Attack] = &[
    attack("reaches a server of this machine", Ends, NETWORK, "exec 3<>/dev/tcp/127.0.0.1/$PORT", LOOPBACK),
    attack("reaches a server of this machine by the lab's proxy", Ends, NETWORK, PROXY, LOOPBACK),
    attack("sends a datagram", Sends, NETWORK, "echo 1234 > /dev/udp/127.0.0.1/$UDP", LOOPBACK),
    attack(
        "reaches a service by its socket",
        Ends,
        SEEN,
        "perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0) && connect(S, sockaddr_un($ARGV[0])) or exit 1' $U/service.sock",
        NAMED,
    ),
    attack(
        "reaches a service by a name without a file",
        Ends,
        Defence::Walls(&["network", "other processes"]),
        "perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0); connect(S, pack(\"S\", AF_UNIX) . \"\\0$ARGV[0]\") or exit 1' $MARK",
        PAIR,
    ),
    sometimes(
        "speaks to the kernel's network",
        Ends,
        CALLS,
        "perl -e 'use Socket; socket(S, 16, SOCK_RAW, 15) or exit 1'",
        PAIR,
    ),
    sometimes("makes a raw socket", Ends, CALLS, "perl -MSocket -e 'socket(S, PF_INET, SOCK_RAW, 1) or exit 1'", PAIR),
    sometimes("listens to all packets", Ends, CALLS, "perl -MSocket -e 'socket(S, 17, SOCK_RAW, 0) or exit 1'", PAIR),
    sometimes(
        "speaks to the host of a virtual machine",
        Ends,
        CALLS,
        "perl -MSocket -e 'socket(S, 40, SOCK_STREAM, 0) or exit 1'",
        PAIR,
    ),
    sometimes(
        "uses the kernel's cryptography",
        Ends,
        CALLS,
        "perl -MSocket -e 'socket(S, 38, SOCK_SEQPACKET, 0) or exit 1'",
        PAIR,
    ),
    sometimes(
        "makes a socket by the other number of the call",
        Ends,
        CALLS,
        "test $(uname -m) = x86_64 && perl -e 'exit(syscall(0x40000000 + 41, 16, 3, 15) < 0)'",
        PAIR,
    ),
    sometimes(
        "makes a socket by the call of 32-bit programs",
        Ends,
        CALLS,
        "test $(uname -m) = x86_64 && echo 'int main(void) { long r; __asm__ volatile (\"int $0x80\" : \"=a\"(r) : \"a\"(359), \"b\"(16), \"c\"(3), \"d\"(15) : \"memory\"); return (int)r < 0; }' > a.c && cc -o a a.c && ./a",
        "echo 'int main(void) { return 0; }' > a.c && cc -o a a.c && ./a",
    ),
];
