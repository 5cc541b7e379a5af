/** What a transport may hold that is not received yet, where that can be set; at least eight messages. */
export const ringBytes = 1 << 20;
