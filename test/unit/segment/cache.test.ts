import { describe, expect, it } from 'vitest';
import { SectionCache } from '#segment/cache.ts';

const limits = { sectionBytesMax: 100, graphBytesMax: 100 };
const load = (value: object, sizeBytes: number) => async () => ({ value, sizeBytes });

class Thing {
  isOpen = true;
  close(): void {
    this.isOpen = false;
  }
}

describe('the section cache', () => {
  it('loads a section once while it is wanted and in flight', async () => {
    const cache = new SectionCache(limits);
    let loads = 0;
    const slow = async () => {
      loads += 1;
      await Promise.resolve();
      return { value: { loads }, sizeBytes: 10 };
    };
    const [a, b] = await Promise.all([cache.section('k#a', slow), cache.section('k#a', slow)]);
    expect(a).toBe(b);
    expect(await cache.section('k#a', slow)).toBe(a);
    expect(loads).toBe(1);
    expect(cache.loadedSection('k#a')).toBe(a);
  });

  it('forgets a load that failed', async () => {
    const cache = new SectionCache(limits);
    const failing = async () => {
      throw new Error('no such luck');
    };
    await expect(cache.section('k#a', failing)).rejects.toThrow('luck');
    expect(await cache.section('k#a', load([1], 1))).toEqual([1]);
  });

  it('stays within its bytes, dropping what was used least recently', async () => {
    const cache = new SectionCache(limits);
    await cache.section('k#a', load([1], 60));
    await cache.section('k#b', load([2], 30));
    await cache.section('k#a', load([0], 60));
    await cache.section('k#c', load([3], 30));
    expect(cache.loadedSection('k#b')).toBeUndefined();
    expect(await cache.section('k#a', load([9], 60))).toEqual([1]);
    expect(cache.sizeBytes.sections).toBe(90);
    expect(await cache.section('k#huge', load([4], 1000))).toEqual([4]);
    expect(cache.sizeBytes.sections).toBe(90);
  });

  it('counts graphs apart and closes those that leave', async () => {
    const cache = new SectionCache(limits);
    const [first, second] = [new Thing(), new Thing()];
    await cache.graph('k#g', async () => ({ value: first, sizeBytes: 80 }));
    await cache.section('k#a', load([1], 90));
    expect(cache.loadedGraph('k#g')).toBe(first);
    await cache.graph('l#g', async () => ({ value: second, sizeBytes: 80 }));
    expect([first.isOpen, second.isOpen]).toEqual([false, true]);
    expect(cache.sizeBytes).toEqual({ sections: 90, graphs: 80 });
  });

  it('makes room before a graph is loaded, so that old and new never stand beside each other', async () => {
    const cache = new SectionCache(limits);
    const [first, second] = [new Thing(), new Thing()];
    await cache.graph('k#g', async () => ({ value: first, sizeBytes: 80 }), 80);
    const openMeanwhile: boolean[] = [];
    const load = async () => {
      openMeanwhile.push(first.isOpen);
      return { value: second, sizeBytes: 80 };
    };
    await cache.graph('l#g', load, 80);
    expect(openMeanwhile).toEqual([false]);
    expect(cache.sizeBytes.graphs).toBe(80);
  });

  it('loads graphs one after another where both do not fit', async () => {
    const cache = new SectionCache(limits);
    let running = 0;
    let most = 0;
    const loadThing = (name: string, sizeBytes: number) => {
      const work = async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        return { value: new Thing(), sizeBytes };
      };
      return cache.graph(name, work, sizeBytes);
    };
    await Promise.all([loadThing('a#g', 80), loadThing('b#g', 80), loadThing('c#g', 80)]);
    expect(most).toBe(1);
    expect(cache.sizeBytes.graphs).toBe(80);
    await Promise.all([loadThing('d#g', 40), loadThing('e#g', 40)]);
    expect(most).toBe(2);
    // Larger than everything: handed out, and nobody had to go for it.
    await loadThing('f#g', 1000);
    expect(cache.sizeBytes.graphs).toBe(80);
  });

  it('forgets what belongs to an object', async () => {
    const cache = new SectionCache(limits);
    const graph = new Thing();
    await cache.section('k#a', load([1], 10));
    await cache.section('kk#a', load([2], 10));
    await cache.graph('k#g', async () => ({ value: graph, sizeBytes: 10 }));
    cache.forget('k');
    expect(cache.loadedSection('k#a')).toBeUndefined();
    expect(cache.loadedSection('kk#a')).toEqual([2]);
    expect(graph.isOpen).toBe(false);
  });
});
