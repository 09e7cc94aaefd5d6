// What becomes of a pool in the child of a fork.
#pragma once

namespace lido {

/// After `fork()` the parent's pool works on. In the child the pool starts empty, on its first use: it opens
/// connections of its own, with the same settings and listeners, and a lease that was inherited ends without a word.
/// The child notices by itself where the kernel can empty a page for it (Linux 4.14 and later); elsewhere do not use an
/// inherited pool.
///
/// Connections that the child inherits belong to the parent's sessions, so that their destructors, which usually say
/// goodbye, do not run in the child. Specialise this as true for a connection whose destructor knows in which process
/// it runs, and in a child releases the child's copies (file descriptors) and is silent on the wire: then idle ones are
/// destroyed in the child, and leased ones when their lease ends.
template <class Connection>
inline constexpr bool safe_to_destroy_after_fork = false;

}  // namespace lido
