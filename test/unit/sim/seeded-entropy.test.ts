import { describe, expect, it } from 'vitest';
import { SeededEntropy } from '#sim/seeded-entropy.ts';

const draw = (entropy: SeededEntropy) => [entropy.random(), ...entropy.bytes(20), entropy.random()];

describe('SeededEntropy', () => {
  it('repeats itself for an equal seed and differs for another', () => {
    expect(draw(new SeededEntropy('a'))).toEqual(draw(new SeededEntropy('a')));
    expect(draw(new SeededEntropy(7))).toEqual(draw(new SeededEntropy('7')));
    const firsts = Array.from({ length: 500 }, (_, seed) => new SeededEntropy(seed).random());
    expect(new Set(firsts).size).toBe(500);
  });

  it('gives a fork its own draws, which do not depend on how it is used', () => {
    const one = new SeededEntropy('a');
    const two = new SeededEntropy('a');
    const fork = one.fork('part');
    draw(fork);
    expect(draw(two.fork('part'))).not.toEqual(draw(two.fork('part')));
    one.fork('part');
    one.fork('part');
    const third = new SeededEntropy('a');
    third.fork('x');
    third.fork('y');
    third.fork('z');
    expect(draw(one)).toEqual(draw(third));
  });
});
