// The design's colours as a canvas understands them: resolved for the scheme at hand.

/**
 * @param {HTMLElement} place where the colour is used
 * @returns {(token: string) => string} by the token's name, as "tone-well"
 */
export function colours(place) {
  /** @type {Map<string, string>} */
  const known = new Map();
  return (token) => {
    let found = known.get(token);
    if (found === undefined) {
      const probe = document.createElement("i");
      probe.style.color = `var(--${token})`;
      place.append(probe);
      found = getComputedStyle(probe).color;
      probe.remove();
      known.set(token, found);
    }
    return found;
  };
}
