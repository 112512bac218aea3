/**
 * CloudFormation's functions and conditions, as far as our template uses them ("Intrinsic function
 * reference" of the user guide). What is not known is an error, never a guess.
 */

export type TemplateJson = Readonly<{
  Conditions?: Readonly<Record<string, unknown>>;
  Resources: Readonly<Record<string, ResourceJson>>;
}>;

export type ResourceJson = Readonly<{
  Type: string;
  Condition?: string;
  Properties?: Readonly<Record<string, unknown>>;
}>;

/** What `Ref` and `Fn::GetAtt` give for a resource. */
export type Identity = Readonly<{ ref: string; attributes: Readonly<Record<string, string>> }>;

export type Names = Readonly<{
  /** `AWS::Region`, `AWS::AccountId` and so on. */
  pseudo: Readonly<Record<string, string>>;
  /** Asked for each resource that is referred to. */
  identityOf: (logicalId: string) => Identity;
}>;

/** `AWS::NoValue`: the property is not there. */
const ABSENT = Symbol('AWS::NoValue');

export class Resolver {
  readonly #template: TemplateJson;
  readonly #names: Names;

  constructor(template: TemplateJson, names: Names) {
    this.#template = template;
    this.#names = names;
  }

  /** Whether the resource is made at all. */
  exists(logicalId: string): boolean {
    const resource = this.#template.Resources[logicalId];
    if (resource === undefined) return false;
    return resource.Condition === undefined || this.#condition(resource.Condition);
  }

  /** The value with all functions worked out; undefined where it is `AWS::NoValue`. */
  value(given: unknown): unknown {
    const value = this.#value(given);
    return value === ABSENT ? undefined : value;
  }

  /** As `value`, for what must be text (or a number, which is text in CloudFormation). */
  text(given: unknown): string {
    const value = this.value(given);
    if (typeof value === 'string') return value;
    if (typeof value === 'number' || typeof value === 'boolean') return String(value);
    throw new Error(`${JSON.stringify(given)} is no text`);
  }

  #value(given: unknown): unknown {
    if (Array.isArray(given)) {
      return given.map((each) => this.#value(each)).filter((each) => each !== ABSENT);
    }
    if (typeof given !== 'object' || given === null) return given;
    const entries = Object.entries(given);
    const [only] = entries;
    if (entries.length === 1 && only !== undefined && /^(Ref|Fn::\w+)$/.test(only[0])) {
      return this.#call(only[0], only[1]);
    }
    const values = entries.map(([name, value]) => [name, this.#value(value)] as const);
    return Object.fromEntries(values.filter(([, value]) => value !== ABSENT));
  }

  #call(name: string, argument: unknown): unknown {
    switch (name) {
      case 'Ref':
        return this.#ref(String(argument));
      case 'Fn::GetAtt': {
        const [id = '', ...attribute] = Array.isArray(argument)
          ? argument.map(String)
          : String(argument).split('.');
        return this.#attribute(id, attribute.join('.'));
      }
      case 'Fn::Sub':
        return this.#sub(argument);
      case 'Fn::Join': {
        const [by, parts] = this.#list(argument, name);
        return this.#list(this.value(parts), name).join(String(by));
      }
      case 'Fn::Select': {
        const [index, parts] = this.#list(argument, name);
        return this.#list(this.value(parts), name)[Number(this.value(index))];
      }
      case 'Fn::Split': {
        const [by, text] = this.#list(argument, name);
        return this.text(text).split(String(by));
      }
      case 'Fn::If': {
        const [condition, yes, no] = this.#list(argument, name);
        return this.#value(this.#condition(String(condition)) ? yes : no);
      }
      case 'Fn::Equals':
      case 'Fn::And':
      case 'Fn::Or':
      case 'Fn::Not':
        return this.#test({ [name]: argument });
      default:
        throw new Error(`${name} is not known here`);
    }
  }

  #list(argument: unknown, name: string): readonly unknown[] {
    if (Array.isArray(argument)) return argument;
    throw new Error(`${name} of ${JSON.stringify(argument)}`);
  }

  #ref(id: string): unknown {
    if (id === 'AWS::NoValue') return ABSENT;
    const pseudo = this.#names.pseudo[id];
    if (pseudo !== undefined) return pseudo;
    this.#mustExist(id);
    return this.#names.identityOf(id).ref;
  }

  #attribute(id: string, attribute: string): string {
    this.#mustExist(id);
    const value = this.#names.identityOf(id).attributes[attribute];
    if (value === undefined) throw new Error(`${id} has no attribute ${attribute} here`);
    return value;
  }

  #mustExist(id: string): void {
    if (!this.exists(id)) throw new Error(`the template makes no ${id}`);
  }

  #sub(argument: unknown): string {
    const [text, own] = Array.isArray(argument) ? argument : [argument, {}];
    // The second member of the long form is an object of names and values.
    const values = own as Readonly<Record<string, unknown>>;
    return String(text).replace(/\$\{([^}]+)\}/g, (_, inner: string) => {
      if (inner.startsWith('!')) return `\${${inner.slice(1)}}`;
      if (Object.hasOwn(values, inner)) return this.text(values[inner]);
      const [id = '', ...attribute] = inner.split('.');
      return attribute.length > 0
        ? this.#attribute(id, attribute.join('.'))
        : this.text({ Ref: inner });
    });
  }

  #condition(name: string): boolean {
    const condition = this.#template.Conditions?.[name];
    if (condition === undefined) throw new Error(`the template has no condition ${name}`);
    return this.#test(condition);
  }

  #test(condition: unknown): boolean {
    // A condition is an object with one member.
    const [[name, argument] = ['', undefined]] = Object.entries(condition as object);
    if (name === 'Condition') return this.#condition(String(argument));
    const parts = this.#list(argument, name);
    switch (name) {
      case 'Fn::Equals':
        return this.text(parts[0]) === this.text(parts[1]);
      case 'Fn::Not':
        return !this.#test(parts[0]);
      case 'Fn::And':
        return parts.every((part) => this.#test(part));
      case 'Fn::Or':
        return parts.some((part) => this.#test(part));
      default:
        throw new Error(`${name} is no condition`);
    }
  }
}
