// Whether everything takes much longer than usual, because a sanitizer watches, or a machine is emulated.
#pragma once

namespace lido::test {

// There to hand over from thread to thread costs most.
#ifdef LIDO_EMULATED
inline constexpr bool emulated = true;
#else
inline constexpr bool emulated = false;
#endif

#if defined(LIDO_EMULATED) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool slow = true;
#elif defined(__has_feature)
inline constexpr bool slow = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool slow = false;
#endif

}  // namespace lido::test
