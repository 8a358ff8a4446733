/**
 * Finds names whose contents are the same, directly or through others: copies of an image belong into one split.
 * @returns for each name the first one of those it belongs to
 */
export function firstOfCopies(
  contents: Iterable<readonly [name: string, content: string]>,
): Map<string, string> {
  const above = new Map<string, string>();
  const firstOf = (name: string): string => {
    let top = name;
    while (above.get(top) !== top) top = above.get(top)!;
    above.set(name, top);
    return top;
  };
  const owners = new Map<string, string>();
  for (const [name, content] of contents) {
    if (!above.has(name)) above.set(name, name);
    const owner = owners.get(content);
    if (owner === undefined) owners.set(content, name);
    else above.set(firstOf(name), firstOf(owner));
  }
  return new Map([...above.keys()].map((name) => [name, firstOf(name)]));
}
