/** What yields a series: the iterator of `for await`. */

export interface Source<T> {
  /** The next one; undefined at the end. */
  next(): Promise<T | undefined>;
  /** The next one if it can be had at once, where asking for that is cheaper. Undefined: not now, or the end. */
  now?(): T | undefined;
  /** Once it is closed the series ends quietly. */
  isClosed(): boolean;
}

/** Leaving the loop closes nothing. */
export function seriesOf<T>(source: Source<T>): AsyncIterableIterator<T> {
  let over = false;
  const end = (): IteratorReturnResult<undefined> => {
    over = true;
    return { done: true, value: undefined };
  };
  const slowly = async (): Promise<IteratorResult<T, undefined>> => {
    if (over || source.isClosed()) return end();
    try {
      const value = await source.next();
      return value === undefined ? end() : { done: false, value };
    } catch (error) {
      if (source.isClosed()) return end();
      over = true;
      throw error;
    }
  };
  return {
    next: () => {
      if (!over && !source.isClosed()) {
        try {
          const value = source.now?.();
          if (value !== undefined) return Promise.resolve({ done: false, value });
        } catch (error) {
          over = true;
          return Promise.reject(error);
        }
      }
      return slowly();
    },
    return: async () => end(),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
