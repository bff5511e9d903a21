/* SPDX-License-Identifier: MIT */
/* Which sanitizer instruments this build. VAI_VALGRIND is for running in valgrind's memcheck, and the
 * only build that needs its header. */
#ifndef VAI_SAN_H
#define VAI_SAN_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VAI_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define VAI_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define VAI_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define VAI_TSAN 1
#endif
/* Where a tool must see every block, blocks come straight from the system (unless the caches themselves are tested). */
#if defined(VAI_ASAN) || defined(VAI_TSAN) || defined(VAI_HARD) || defined(VAI_OOM) || defined(VAI_VALGRIND)
#define VAI_EACH_BLOCK 1
#endif
#if defined(VAI_EACH_BLOCK) && !defined(VAI_TEST_CACHES)
#define VAI_NO_CACHES 1
#endif

#endif
