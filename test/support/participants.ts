/** Who has a channel open, for tests that count. */
import type { Channel, ChannelParticipant } from 'interproc';

/** But for those who look: a test that lists channels opens each, also those of tests that run at the same time. */
export function takingPart(channel: Channel): ChannelParticipant[] {
  return channel.participants().filter(({ readOnly }) => !readOnly);
}
