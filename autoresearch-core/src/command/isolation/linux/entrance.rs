//! The way from a command's own network to the hosts that it may reach: a listener on its loopback device, which is made inside the walls
//! and accepted on outside of them.

use std::any::Any;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use super::super::hosts::{Hosts, PORT};
use super::call::check;

/// Connections that wait to be accepted.
const WAITING: libc::c_int = 128;
/// Room for a message with one descriptor, aligned as the kernel wants it.
type Room = [u64; 4];

/// The command's end of the way.
#[derive(Debug)]
pub(super) struct Inside(OwnedFd);

/// The lab's end.
#[derive(Debug)]
pub(crate) struct Entrance {
    socket: UnixStream,
    hosts: Hosts,
}

/// Prepares both ends.
pub(super) fn prepare(hosts: &Hosts) -> io::Result<(Inside, Entrance)> {
    let (inside, socket) = UnixStream::pair()?;
    Ok((Inside(inside.into()), Entrance { socket, hosts: hosts.clone() }))
}

impl Inside {
    /// Makes the listener in the network of the calling process, and hands it to the lab. The caller keeps no descriptor of it.
    ///
    /// # Safety
    /// Makes plain system calls; may be called between fork and exec.
    pub(super) unsafe fn hand_over(&self) -> io::Result<()> {
        // SAFETY: plain system calls, on memory of this stack.
        unsafe {
            let listener = check(libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0))?;
            let result = listen(listener).and_then(|()| send(self.0.as_raw_fd(), listener));
            libc::close(listener);
            result
        }
    }
}

unsafe fn listen(socket: RawFd) -> io::Result<()> {
    // SAFETY: plain system calls; the address lives on this stack.
    unsafe {
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_port = PORT.to_be();
        address.sin_addr.s_addr = libc::INADDR_LOOPBACK.to_be();
        let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        check(libc::bind(socket, std::ptr::from_ref(&address).cast(), length))?;
        check(libc::listen(socket, WAITING)).map(drop)
    }
}

/// A message of one byte with room for a descriptor beside it.
unsafe fn message(byte: &mut libc::iovec, room: &mut Room) -> libc::msghdr {
    // SAFETY: an empty message is one of zeros; the room is large enough for the length that is asked for.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = byte;
        message.msg_iovlen = 1;
        message.msg_control = room.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as _;
        message
    }
}

unsafe fn send(socket: RawFd, descriptor: RawFd) -> io::Result<()> {
    let (mut byte, mut room) = (0u8, Room::default());
    let mut bytes = libc::iovec { iov_base: std::ptr::from_mut(&mut byte).cast(), iov_len: 1 };
    // SAFETY: the message and all that it names live on this stack; its room holds a header and a descriptor.
    unsafe {
        let message = message(&mut bytes, &mut room);
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(descriptor);
        match libc::sendmsg(socket, &message, libc::MSG_NOSIGNAL) {
            1 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Entrance {
    /// The variables by which programs find the way.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.hosts.variables()
    }

    /// Lets the caller's proxy serve the listener of a command that has been started, until what this returns is dropped.
    pub(crate) fn serve(self) -> io::Result<Box<dyn Any + Send>> {
        let listener = self.receive()?;
        self.hosts.serve(listener)
    }

    /// It was sent before the command was executed, so nothing waits here.
    fn receive(&self) -> io::Result<TcpListener> {
        let (mut byte, mut room) = (0u8, Room::default());
        let mut bytes = libc::iovec { iov_base: std::ptr::from_mut(&mut byte).cast(), iov_len: 1 };
        // SAFETY: the message and all that it names live on this stack; a descriptor that was received belongs to nobody else.
        unsafe {
            let mut message = message(&mut bytes, &mut room);
            let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
            if libc::recvmsg(self.socket.as_raw_fd(), &mut message, flags) < 0 {
                return Err(io::Error::last_os_error());
            }
            let header = libc::CMSG_FIRSTHDR(&message);
            if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
                return Err(io::Error::other("the command made no listener"));
            }
            let descriptor = libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned();
            Ok(TcpListener::from(OwnedFd::from_raw_fd(descriptor)))
        }
    }
}
