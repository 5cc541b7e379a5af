/**
 * Messages that tell on their own whether they are whole. actor.c makes and checks the same.
 *
 *     0          4          8          12
 *    +----------+----------+----------+---------------------+
 *    | number   | author   | checksum | bytes of the author |
 *    +----------+----------+----------+---------------------+
 *
 * The checksum (FNV-1a) is that of all the rest and of the length.
 */
export const headSize = 12;

/**
 * Writes a message of `length` bytes at `offset`.
 *
 * @param {Uint8Array} bytes
 * @param {number} offset
 * @param {number} length at least headSize
 * @param {number} number
 * @param {number} author
 */
export function writeMessage(bytes, offset, length, number, author) {
  putWord(bytes, offset, number);
  putWord(bytes, offset + 4, author);
  let state = number ^ Math.imul(author, 0x9e3779b1);
  for (let at = offset + headSize; at < offset + length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[at] = state >>> 24;
  }
  putWord(bytes, offset + 8, checksum(bytes, offset, length));
}

/**
 * @param {number} length at least headSize
 * @param {number} number
 * @param {number} author
 */
export function messageOf(length, number, author) {
  const bytes = Buffer.alloc(length);
  writeMessage(bytes, 0, length, number, author);
  return bytes;
}

/**
 * The number of the message; -1 when it is torn.
 *
 * @param {Uint8Array} bytes
 * @param {number} offset
 * @param {number} length
 */
export function numberOf(bytes, offset = 0, length = bytes.length) {
  if (length < headSize || checksum(bytes, offset, length) !== word(bytes, offset + 8)) return -1;
  return word(bytes, offset);
}

/**
 * @param {Uint8Array} bytes
 * @param {number} offset
 */
export function authorOf(bytes, offset = 0) {
  return word(bytes, offset + 4);
}

/**
 * A length that varies with the number, from headSize to `most`.
 *
 * @param {number} number
 * @param {number} most
 */
export function lengthOf(number, most) {
  return headSize + ((Math.imul(number + 1, 0x9e3779b1) >>> 8) % (most - headSize + 1));
}

/** @param {Uint8Array} bytes @param {number} offset @param {number} length */
function checksum(bytes, offset, length) {
  let sum = Math.imul(0x811c9dc5 ^ length, 0x01000193);
  for (let at = offset; at < offset + length; at++) {
    if (at === offset + 8) at += 4; // its own place
    if (at < offset + length) sum = Math.imul(sum ^ /** @type {number} */ (bytes[at]), 0x01000193);
  }
  return sum >>> 0;
}

/** @param {Uint8Array} bytes @param {number} at */
function word(bytes, at) {
  const byte = (/** @type {number} */ index) => /** @type {number} */ (bytes[at + index]);
  return (byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24)) >>> 0;
}

/** @param {Uint8Array} bytes @param {number} at @param {number} value */
function putWord(bytes, at, value) {
  for (let index = 0; index < 4; index++) bytes[at + index] = value >>> (8 * index);
}
