/**
 * Whether the addon is one with AddressSanitizer (npm run test:sanitized). That keeps what was freed, takes terabytes of
 * addresses, and reads its own options in /proc: what looks at these is tested without it.
 */
export const isSanitized = process.env.ASAN_OPTIONS !== undefined;
