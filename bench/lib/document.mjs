// A document of 3.6 KB as the LiteGraph editor saves it: nodes with places and widgets, links between them.
const TYPES = ['market/quotes', 'indicator/sma', 'indicator/rsi', 'math/compare', 'logic/and', 'order/limit', 'io/log'];

// `last_node_id` holds twelve digits by which one document differs from the next.
export function make_document(number = 999_999_999_999) {
  const nodes = [];
  const links = [];
  for (let i = 1; i <= 12; i++) {
    const type = TYPES[(i * 5) % TYPES.length];
    nodes.push({
      id: i, type, pos: [(i * 137) % 1400, (i * 211) % 900], size: [210, 78 + (i % 3) * 20], flags: {}, order: i - 1,
      mode: 0,
      inputs: i > 1 ? [{ name: 'in', type: 'series', link: i - 1 }] : [],
      outputs: [{ name: 'out', type: 'series', links: i < 12 ? [i] : [] }],
      title: `${type.split('/')[1].toUpperCase()} ${i}`,
      properties: { symbol: ['BTCUSDT', 'ETHUSDT', 'SOLUSDT'][i % 3], window: 7 * i },
    });
    if (i > 1) links.push([i - 1, i - 1, 0, i, 0, 'series']);
  }
  return {
    last_node_id: number, last_link_id: links.length, nodes, links,
    groups: [{ title: 'Signals', bounding: [60, 40, 900, 520], color: '#3f789e', font_size: 24 }],
    config: { align_to_grid: true }, extra: { ds: { scale: 0.87, offset: [112.5, -40.25] } }, version: 0.4,
  };
}
